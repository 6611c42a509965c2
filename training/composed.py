"""Training clips in which it is known when somebody coughs: parts of soundscapes.

The corpus says that somewhere in a clip somebody coughs; sharp frames need to be told when. The
soundscapes are those of ``training.scenes``, made of nothing but the rows that are trained on: isolated
coughs and other voices at known times, equally loud, over a background at 0 to 25 dB SNR.

A burst in a clip labelled cough need not be a cough: only those count that somebody else heard, too
(``GateClips.is_heard``). The short gates of ``training.loso`` have nobody to ask but the teacher: without
its outputs they learn from composed clips of short single coughs alone.

Off in the shipped recipe: on sources that short gates never heard they gained nothing (with 0.15 composed
and a score over 3 frames AUROC 0.942 and hard 0.904, without 0.944 and 0.902). The events of the two whole
gates were compared on fold 5 alone, which is for tests: F1 at 10 dB SNR 0.874 and 0.882, at 5 dB 0.834 and
0.816, 53 and 42 false alarms an hour, sneezes apart. A choice made by that would have to be made anew on
soundscapes of another fold, heard by gates that did not learn from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch

from cough.audio import SAMPLE_RATE_HZ
from training.clips import HOP, GateBatch
from training.config import TrainingConfig
from training.corpus import Corpus
from training.isolated import Believed
from training.scenes import SPACINGS, Soundscape, compose, palette
from training.waves import Waves

SCENES = 240
SNR_DB = (0.0, 25.0)
AROUND_SOUND = 0.85
"""Share of parts that are taken around a cough or another voice, not anywhere."""
DECAY_FRAMES = 3
"""After a cough's end it decays; these frames count neither as cough nor as none."""


class _Unread(Mapping[int, np.ndarray]):
    """Samples by row, read when asked for: hours of sound need not be held."""

    def __init__(self, waves: Waves, rows: Sequence[int]) -> None:
        self._waves, self._rows = waves, rows

    def __getitem__(self, row: int) -> np.ndarray:
        return self._waves.samples(row)

    def __iter__(self) -> Iterator[int]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


class Composer:
    """Puts parts of soundscapes into training batches."""

    def __init__(
        self,
        corpus: Corpus,
        waves: Waves,
        rows: np.ndarray,
        config: TrainingConfig,
        believed: Believed | None = None,
    ) -> None:
        self.random = np.random.default_rng([config.seed, 19])
        self.share = config.gate.composed_share
        labelled = [int(row) for row in rows if self.share and corpus.recordings[row].is_cough is not None]
        sounds = palette(corpus, _Unread(waves, labelled), believed)
        kinds = [kind for kind, clips in sounds.backgrounds.items() if clips]
        self.scenes: list[tuple[np.ndarray, Soundscape]] = []
        for i in range(SCENES if self.share and sounds.coughs and kinds else 0):
            scene = compose(
                sounds,
                self.random,
                snr_db=float(self.random.uniform(*SNR_DB)),
                spacing=list(SPACINGS)[i % len(SPACINGS)],
                background=kinds[i % len(kinds)],
            )
            self.scenes.append((truth(scene), scene))

    def replace(self, batch: GateBatch) -> None:
        """Put parts of soundscapes in the place of some clips of a batch, whose teacher windows go."""
        chosen = np.flatnonzero(self.random.random(len(batch.rows)) < self.share) if self.scenes else ()
        for i in chosen:
            wave, frames = self._part(batch.wave.shape[1])
            batch.rows[i] = -1
            batch.wave[i] = torch.from_numpy(wave)
            batch.frame_label[i] = torch.from_numpy((frames == 1).astype(np.float32))
            batch.frame_weight[i] = torch.from_numpy((frames >= 0).astype(np.float32))
            # Only the edge of a cough in sight: nobody can say.
            batch.clip_label[i] = float((frames == 1).any())
            batch.clip_weight[i] = float((frames == 1).any() or (frames == 0).all())
        gone = torch.zeros(len(batch.rows), dtype=torch.bool)
        gone[list(chosen)] = True
        kept = ~gone[batch.logit_clip]
        batch.logit_clip, batch.logit_frame = batch.logit_clip[kept], batch.logit_frame[kept]
        batch.logit_target = batch.logit_target[kept]
        kept = ~gone[batch.embedding_clip]
        batch.embedding_clip, batch.embedding_frame = batch.embedding_clip[kept], batch.embedding_frame[kept]
        batch.embedding_target = batch.embedding_target[kept]

    def _part(self, length: int) -> tuple[np.ndarray, np.ndarray]:
        """``length`` samples of some soundscape from a frame's beginning on, and their ``truth``."""
        frames, scene = self.scenes[int(self.random.integers(len(self.scenes)))]
        last = len(scene.samples) // HOP - length // HOP
        sounds = scene.coughs if self.random.random() < 0.5 else scene.voices
        if sounds and self.random.random() < AROUND_SOUND:
            onset = round(sounds[int(self.random.integers(len(sounds)))].start_s * SAMPLE_RATE_HZ)
            first = (onset - int(self.random.uniform(0.05, 0.9) * length)) // HOP
        else:
            first = int(self.random.integers(last + 1))
        first = min(max(first, 0), last)
        return (
            scene.samples[first * HOP : first * HOP + length],
            frames[first : first + length // HOP],
        )


def truth(scene: Soundscape) -> np.ndarray:
    """What each 40 ms frame is: 1 cough, 0 none, -1 neither, at its edges; (n_samples // 640,) int8."""
    frames = np.zeros(len(scene.samples) // HOP, np.int8)
    for cough in scene.coughs:
        begin, end = cough.start_s * SAMPLE_RATE_HZ / HOP, cough.end_s * SAMPLE_RATE_HZ / HOP
        frames[int(begin) : int(np.ceil(end)) + DECAY_FRAMES] = -1
    for cough in scene.coughs:
        begin, end = cough.start_s * SAMPLE_RATE_HZ / HOP, cough.end_s * SAMPLE_RATE_HZ / HOP
        # Covered by at least half.
        frames[round(begin) : max(round(end), round(begin) + 1)] = 1
    return frames
