"""Training batches for the gate: which clips, which crops, which labels hold where.

Labels of the corpus are weak: "cough" says that somewhere in the clip somebody coughs. What is
claimed for single 40 ms frames, and why:

- a clip labelled as anything but cough: every frame is 0;
- a cough clip: frames 35 dB below its loudest are 0; its loud frames are 1 only where the teacher
  hears a cough in a window around them, or a gate that never heard the clip's source (``Heldout``)
  hears one there, or the clip is a single short cough; 0 where that gate is sure of none, if there is
  a cough elsewhere in the clip; else unknown, and the clip's best frames together must say "cough"
  (multiple-instance learning);
- an unlabelled clip: what its file name suggests, or cough where the teacher is firm about it. The
  teacher's silence says nothing: it misses two thirds of this source's labelled coughs;
- a cough clip without sound (some submissions hold only silence): nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import soxr
import torch
from torch import Tensor

from cough.audio import SAMPLE_RATE_HZ
from training.config import TrainingConfig
from training.corpus import Corpus, Teacher
from training.heldout import Heldout
from training.networks import GATE_HOP_S
from training.scoring import HOP
from training.waves import Waves

WINDOW_FRAMES = round(1.0 / GATE_HOP_S)
"""The teacher's windows are 1 s."""
COUGH_LOGIT_FIRM = 0.0
"""Teacher logit above which an unlabelled clip counts as cough (probability 0.5)."""
EVENT_WEIGHT = {
    "sneeze": 6.0,
    "laughter": 6.0,
    "snore": 4.0,
    "breathing": 4.0,
    "burp": 4.0,
    "drinking_sipping": 3.0,
    "brushing_teeth": 2.0,
}
"""How much more often a sound that is easily taken for a cough is shown than its number says."""
MINING_GAIN = 8.0
"""How much more often a clip without a cough is drawn once it is surely taken for one."""
SURELY_COUGH, SURELY_OTHER = 0.9, 0.05
"""Held-out scores beyond which an unlabelled clip gets a label."""
NOTHING_HEARD, TEACHER_HEARS_NOTHING = 0.02, -4.0
"""A "cough" clip below both, the held-out score and the teacher's logit, is not learnt from."""
FRAME_HEARD, FRAME_UNHEARD = 1.0, -4.0
"""Held-out logits beyond which a frame of a cough clip is labelled."""
SINGLE_COUGH_S = 0.8
"""A clip labelled cough and no longer than this is one cough from end to end."""


SILENT_PEAK = 10 ** (-50 / 20)
"""A clip whose peak stays below -50 dBFS holds nothing that a label could be about."""


def is_silent(samples: np.ndarray) -> bool:
    """Whether a clip is too quiet for its label to be believed."""
    return bool(np.abs(samples).max(initial=0.0) < SILENT_PEAK)


@dataclass(frozen=True)
class Crop:
    """Which part of a recording a training clip shows, in samples at 16 kHz."""

    begin: int
    end: int
    at: int
    """Where in the training clip ``begin`` is placed; silence around it."""
    recording_length: int


@dataclass
class GateBatch:
    """One batch; B clips of T samples, F = T // 640 frames, K teacher windows in all."""

    rows: np.ndarray
    """(B,) which recording each clip comes from; -1: synthetic."""
    wave: Tensor
    """(B, T) clean crops."""
    other: Tensor
    """(B, T) non-cough crops that may be mixed in."""
    clip_label: Tensor
    """(B,) 0 or 1."""
    clip_weight: Tensor
    """(B,) 0 where nobody knows."""
    frame_label: Tensor
    """(B, F)."""
    frame_weight: Tensor
    """(B, F) 0 where nobody knows."""
    logit_clip: Tensor
    """(K,) which clip of the batch a teacher window belongs to."""
    logit_frame: Tensor
    """(K,) the frame at which it starts; it spans 25."""
    logit_target: Tensor
    """(K, n_classes) standardised teacher logits."""
    embedding_clip: Tensor
    embedding_frame: Tensor
    embedding_target: Tensor
    """(K', 384) standardised teacher embeddings."""


class GateClips:
    """Draws batches from the training rows of a corpus."""

    def __init__(
        self,
        corpus: Corpus,
        waves: Waves,
        teacher: Teacher,
        rows: np.ndarray,
        config: TrainingConfig,
        *,
        synthetic: Sequence[np.ndarray] = (),
        heldout: Heldout | None = None,
    ) -> None:
        self.corpus, self.waves, self.config, self.synthetic = corpus, waves, config, synthetic
        self.heldout = heldout
        self.random = np.random.default_rng([config.seed, 3])
        self.length = round(config.gate.crop_s * SAMPLE_RATE_HZ)
        n = len(corpus.recordings)
        self._logits = _Windows(
            teacher.logit_rows, teacher.logit_start_s, teacher.logits.astype(np.float32), rows, n
        )
        self._embeddings = _Windows(
            teacher.embedding_rows,
            teacher.embedding_start_s,
            teacher.embeddings.astype(np.float32),
            rows,
            n,
        )
        self._cough_column = teacher.logits[:, teacher.classes.index("Cough")].astype(np.float32)
        scores = None if heldout is None else heldout.clip_scores(n, config.gate.score_frames)
        self.label, self.weight = self._labels(teacher.clip_scores(n), scores)
        self.rows = rows
        self.drawn = self.probability = self._sampling(rows)
        self.mistaken = np.zeros(n, np.float32)
        negative = np.array([self._kind(r) is False for r in rows])
        self.negative_rows = rows[negative]
        self.negative_probability = self.probability[negative] / self.probability[negative].sum()

    def _kind(self, row: int) -> bool | None:
        return self.corpus.recordings[row].is_probably_cough

    def _labels(
        self, teacher_scores: np.ndarray, heldout_scores: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Clip labels and how far they are believed (0-1), for all rows.

        ``heldout_scores``: (n_recordings,) what a gate that never saw a recording's source makes of
        it, NaN where there is none. It labels what nobody labelled where it is sure, and overrules
        "cough" where the teacher hears nothing either.
        """
        n = len(self.corpus.recordings)
        label, weight = np.zeros(n, np.float32), np.ones(n, np.float32)
        heard = np.full(n, np.nan) if heldout_scores is None else heldout_scores
        labels = heard if self.config.gate.self_training else np.full(n, np.nan)
        cleans = heard if self.config.gate.label_cleaning else np.full(n, np.nan)
        for i, recording in enumerate(self.corpus.recordings):
            kind = recording.is_probably_cough
            if kind is not None:
                label[i] = kind
                weight[i] = 1.0 if recording.is_cough is not None else 0.7
                if kind and cleans[i] < NOTHING_HEARD and teacher_scores[i] < TEACHER_HEARS_NOTHING:
                    weight[i] = 0.0
            elif labels[i] > SURELY_COUGH or teacher_scores[i] > COUGH_LOGIT_FIRM:
                label[i], weight[i] = 1.0, 0.5
            else:
                label[i], weight[i] = 0.0, 0.5 * (labels[i] < SURELY_OTHER)
            if label[i] == 1 and is_silent(self.waves.samples(i)):
                weight[i] = 0.0
        return label, weight

    def is_heard(self, row: int, begin: int, end: int) -> bool:
        """Whether a burst of a cough clip, samples [begin, end), is a cough to anybody but its label.

        To the teacher, in a second that holds its middle; to a gate that never heard the source; or
        because the clip is a single cough.
        """
        if self.corpus.recordings[row].duration_s <= SINGLE_COUGH_S:
            return True
        middle = (begin + end) // 2
        if any(start <= middle < start + SAMPLE_RATE_HZ for start in self._heard_seconds(row)):
            return True
        logits = self.heldout.frames(row) if self.heldout else None
        heard = () if logits is None else logits[begin // HOP : -(-end // HOP)]
        return bool(np.max(heard, initial=-np.inf) > FRAME_HEARD)

    def remember(self, rows: np.ndarray, probability: np.ndarray) -> None:
        """Note how far each drawn clip was taken for a cough; ``mine`` uses it."""
        real = rows >= 0
        self.mistaken[rows[real]] += 0.5 * (probability[real] - self.mistaken[rows[real]])

    def mine(self) -> None:
        """From now on draw clips without a cough more often, the more they were taken for one.

        Not those of which nobody is sure: no mistake is known in them, and their label teaches nothing.
        """
        other = (self.label[self.rows] == 0) & (self.weight[self.rows] > 0)
        drawn = self.probability * (1.0 + MINING_GAIN * np.where(other, self.mistaken[self.rows], 0.0))
        # Their share among all clips stays.
        drawn[other] *= self.probability[other].sum() / drawn[other].sum()
        self.drawn = drawn / drawn.sum()

    def _sampling(self, rows: np.ndarray) -> np.ndarray:
        """Sources, and events within negatives, count by the root of their size."""
        recordings = self.corpus.recordings
        kinds = [self._kind(r) for r in rows]
        keys = [
            (recordings[r].source, recordings[r].event if kind is False else kind)
            for r, kind in zip(rows, kinds, strict=True)
        ]
        counts = Counter(keys)
        weight = np.array([counts[key] ** -0.5 for key in keys])
        weight *= [EVENT_WEIGHT.get(recordings[r].event, 1.0) for r in rows]
        share = {True: 0.42, False: 0.52, None: 0.06}
        for kind, part in share.items():
            these = np.array([k is kind for k in kinds])
            if these.any():
                weight[these] *= part / weight[these].sum()
        return np.asarray(weight / weight.sum())

    def batch(self, size: int) -> GateBatch:
        """Draw ``size`` clips with replacement."""
        rows = self.random.choice(self.rows, size=size, p=self.drawn)
        clip_label, clip_weight = self.label[rows], self.weight[rows]
        others = self.random.choice(self.negative_rows, size=size, p=self.negative_probability)
        frames = self.length // HOP
        wave = np.zeros((size, self.length), np.float32)
        other = np.zeros((size, self.length), np.float32)
        frame_label = np.zeros((size, frames), np.float32)
        frame_weight = np.ones((size, frames), np.float32)
        logits, embeddings = [], []
        for i, row in enumerate(rows):
            start = int(self.random.integers(0, max(1, self.waves.length(others[i]) - self.length + 1)))
            mixed = self.waves.samples(others[i], start, start + self.length)
            other[i] = np.resize(mixed, self.length)
            if self._is_synthetic(row):
                wave[i] = self._synthetic_clip()
                rows[i], clip_weight[i] = -1, 1.0
                continue
            crop = self._crop(row)
            phone = self.random.random() < self.config.augment.codec_probability
            speed = self._speed()
            samples = change_speed(self.waves.samples(row, crop.begin, crop.end, phone=phone), speed)
            samples = samples[: self.length - crop.at]
            wave[i, crop.at : crop.at + len(samples)] = samples
            frame_label[i], frame_weight[i] = self._frame_truth(row, wave[i], crop, speed)
            # The teacher heard nobody speak faster.
            heard_frames = frames if speed == 1.0 else 0
            logits.append(self._logits.inside(row, crop, i, heard_frames))
            embeddings.append(self._embeddings.inside(row, crop, i, heard_frames))
        return GateBatch(
            rows,
            torch.from_numpy(wave),
            torch.from_numpy(other),
            torch.from_numpy(clip_label),
            torch.from_numpy(clip_weight),
            torch.from_numpy(frame_label),
            torch.from_numpy(frame_weight * clip_weight[:, None]),
            *_stack(logits),
            *_stack(embeddings),
        )

    def _is_synthetic(self, row: int) -> bool:
        """Whether to show a synthetic sound in the place of this recording, which holds no cough."""
        return (
            bool(self.synthetic)
            and self.label[row] == 0
            and self.random.random() < self.config.gate.synthetic_share
        )

    def _synthetic_clip(self) -> np.ndarray:
        """A synthetic sound somewhere in a training clip, sped up or slowed down like the others."""
        samples = change_speed(self.synthetic[int(self.random.integers(len(self.synthetic)))], self._speed())
        samples = samples[: self.length]
        clip = np.zeros(self.length, np.float32)
        at = int(self.random.integers(0, self.length - len(samples) + 1))
        clip[at : at + len(samples)] = samples
        return clip

    def _crop(self, row: int) -> Crop:
        """A part of the recording, around something loud where brevity or a cough is at stake."""
        n = self.waves.length(row)
        length = self.length
        if self.random.random() < self.config.augment.shorten_probability:
            shortest_s = 0.3 if self.label[row] == 1 else 0.15
            length = int(self.random.uniform(shortest_s, 1.0) * SAMPLE_RATE_HZ)
        length = min(length, n)
        if n == length:
            begin = 0
        elif self.label[row] == 1 or length < self.length:
            loud = self._loud(row)
            before = self.random.uniform(0.2, 0.5) if length < self.length else self.random.random()
            begin = int(np.clip(loud - before * length, 0, n - length))
        else:
            begin = int(self.random.integers(0, n - length + 1))
        room = self.length - max(length, SAMPLE_RATE_HZ)
        at = int(self.random.integers(0, room + 1)) // HOP * HOP
        return Crop(begin, begin + length, at, n)

    def _loud(self, row: int) -> int:
        """A loud sample position; of a cough clip, inside a second where the teacher hears one."""
        heard = self._heard_seconds(row)
        if self.label[row] == 1 and heard:
            start = int(self.random.choice(heard))
            second = self.waves.samples(row, start, start + SAMPLE_RATE_HZ)
            if len(second):
                return start + self._active(second)
        return self._active(self.waves.samples(row))

    def _heard_seconds(self, row: int) -> list[int]:
        """Where the seconds begin in which the teacher is firm on a cough, in samples."""
        windows = self._logits.of(row)
        return self._logits.start[windows[self._cough_column[windows] > COUGH_LOGIT_FIRM]].tolist()

    def _active(self, samples: np.ndarray) -> int:
        """A random sample position among blocks within 10 dB of the loudest."""
        energy = _block_db(samples)
        return int(self.random.choice(np.flatnonzero(energy > energy.max() - 10))) * HOP

    def _speed(self) -> float:
        if self.random.random() < self.config.augment.speed_probability:
            return float(self.random.uniform(*self.config.augment.speed_range))
        return 1.0

    def _frame_truth(
        self, row: int, wave: np.ndarray, crop: Crop, speed: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Labels and weights of a training clip's frames."""
        n_frames = len(wave) // HOP
        if self.label[row] == 0:
            return np.zeros(n_frames, np.float32), np.ones(n_frames, np.float32)
        energy = _block_db(wave)[:n_frames]
        below = energy.max() - energy
        heard = np.zeros(n_frames, bool)
        if self.corpus.recordings[row].duration_s <= SINGLE_COUGH_S:
            heard[:] = True
        else:
            for start in self._heard_seconds(row):
                begin = (start - crop.begin) / speed + crop.at
                first, last = int(begin // HOP), int((begin + SAMPLE_RATE_HZ / speed) // HOP)
                heard[max(0, first) : max(0, last)] = True
        sure = self._heldout_frames(row, n_frames, crop, speed)
        heard |= sure > FRAME_HEARD
        label = (heard & (below < 12)).astype(np.float32)
        unheard = ~heard & (sure < FRAME_UNHEARD) & bool(label.any())
        weight = ((label > 0) | (below > 35) | (heard & (below > 28)) | unheard).astype(np.float32)
        return label, weight

    def _heldout_frames(self, row: int, n_frames: int, crop: Crop, speed: float) -> np.ndarray:
        """(n_frames,) what a gate that never heard the source makes of the frames; NaN: not asked."""
        logits = self.heldout.frames(row) if self.heldout and self.config.gate.frame_self_training else None
        out = np.full(n_frames, np.nan)
        if logits is not None:
            middle = (np.arange(n_frames) + 0.5) * HOP
            frame = np.floor(((middle - crop.at) * speed + crop.begin) / HOP).astype(np.int64)
            inside = (frame >= 0) & (frame < len(logits))
            out[inside] = logits[frame[inside]]
        return out


def standardise(values: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Each column with the mean and spread that it has in ``reference``; float32."""
    if not len(reference):
        return np.asarray(values, np.float32)
    return np.asarray((values - reference.mean(axis=0)) / (reference.std(axis=0) + 1e-3), np.float32)


class _Windows:
    """Teacher windows by recording, standardised over the training rows."""

    def __init__(
        self, rows: np.ndarray, start_s: np.ndarray, values: np.ndarray, train: np.ndarray, n: int
    ) -> None:
        self.values = standardise(values, values[np.isin(rows, train)])
        self.start = np.round(start_s * SAMPLE_RATE_HZ).astype(np.int64)
        order = np.argsort(rows, kind="stable")
        self._order = order
        self._bounds = np.searchsorted(rows[order], np.arange(n + 1))

    def of(self, row: int) -> np.ndarray:
        return self._order[self._bounds[row] : self._bounds[row + 1]]

    def inside(
        self, row: int, crop: Crop, clip: int, n_frames: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(clip indices, start frames, targets) of the windows whose audio lies in the crop."""
        windows = self.of(row)
        start = self.start[windows]
        heard_until = np.minimum(start + SAMPLE_RATE_HZ, crop.recording_length)
        frame = (start - crop.begin + crop.at) // HOP
        kept = (start >= crop.begin) & (heard_until <= crop.end) & (frame + WINDOW_FRAMES <= n_frames)
        return np.full(int(kept.sum()), clip), frame[kept], self.values[windows[kept]]


def change_speed(samples: np.ndarray, speed: float) -> np.ndarray:
    """Play faster (above 1) or slower: pitch, formants and tempo together, like another throat."""
    if speed == 1.0:
        return samples
    return np.asarray(soxr.resample(samples, speed, 1.0, quality="MQ"), np.float32)


def _stack(parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> tuple[Tensor, Tensor, Tensor]:
    clip, frame, target = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return torch.from_numpy(clip), torch.from_numpy(frame), torch.from_numpy(target.astype(np.float32))


def _block_db(samples: np.ndarray) -> np.ndarray:
    """RMS of 40 ms blocks in dB; at least one block."""
    n = max(1, len(samples) // HOP)
    padded = np.zeros(n * HOP, np.float32)
    padded[: min(len(samples), n * HOP)] = samples[: n * HOP]
    return np.asarray(10 * np.log10(np.square(padded.reshape(n, HOP), dtype=np.float64).mean(axis=1) + 1e-12))
