"""Train the encoder: distil a general-audio teacher into a network of our own, and name sounds.

The teacher (EfficientAT mn04, AudioSet) heard one-second windows of every recording; the student
learns its embedding and its class logits for the same second, through rooms, phones and noise.
It also learns which of its source's sounds a clip holds: only among the classes of one source, so
that telling sources apart is worth nothing. No disease label is seen here.
Where the teacher was not asked, a recording's seconds are only named, not distilled.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.progress import Progress
from torch import Tensor
from torch.nn import functional as F

from cough import errors
from cough.audio import SAMPLE_RATE_HZ
from training import distributed
from training.augment import Augmenter
from training.clips import standardise
from training.config import TrainingConfig
from training.corpus import VOCAL_HARD, Corpus, Recording, Teacher
from training.device import device
from training.networks import EncoderNetwork
from training.stages import load_weights
from training.tracking import Tracker
from training.waves import Waves

MIN_CLIPS = 20
"""A class of sounds has at least so many training clips."""
CROWD = (1, 1, 3, 6)
"""How many sounds at once lie under a window: one alone as often as several, and as many as in a cafe."""
MATCH_S = 0.01
"""Embedding and logit windows that start this close are the same second."""


@dataclass(frozen=True)
class SoundClasses:
    """What the clips hold, in the words of their sources."""

    names: tuple[tuple[str, str, str], ...]
    """(source, event, sublabel) of each class."""
    of_recording: np.ndarray
    """(n_recordings,) index into ``names``; -1 for clips outside the training rows or of a rare kind."""
    rivals: np.ndarray
    """(n_classes, n_classes) True where two classes are of one source."""

    @classmethod
    def of(cls, corpus: Corpus, rows: np.ndarray) -> SoundClasses:
        """The classes with ``MIN_CLIPS`` clips and a rival in their source."""
        keys = {int(row): _sound(corpus.recordings[row]) for row in rows}
        counts = Counter(keys.values())
        common = sorted(key for key, n in counts.items() if n >= MIN_CLIPS and key[1] != "unlabelled")
        sources = Counter(source for source, _, _ in common)
        names = tuple(key for key in common if sources[key[0]] > 1)
        index = {key: i for i, key in enumerate(names)}
        of_recording = np.full(len(corpus.recordings), -1, np.int64)
        for row, key in keys.items():
            of_recording[row] = index.get(key, -1)
        source = np.array([name[0] for name in names])
        return cls(names, of_recording, source[:, None] == source[None, :])


def _sound(recording: Recording) -> tuple[str, str, str]:
    return recording.source, recording.event, recording.sublabel


class EncoderWindows:
    """The teacher's one-second windows of the training rows, with both targets standardised.

    Recordings that the teacher was not asked about are cut into seconds, without targets.
    """

    def __init__(
        self, corpus: Corpus, waves: Waves, teacher: Teacher, rows: np.ndarray, config: TrainingConfig
    ) -> None:
        self.waves = waves
        lighter = config.augment.lightened(config.encoder.augment_share)
        self.phone_probability = lighter.codec_probability
        self.random = np.random.default_rng([config.seed, 5])
        used = np.flatnonzero(np.isin(teacher.embedding_rows, rows))
        partner = _partner(teacher, used)
        used, partner = used[partner >= 0], partner[partner >= 0]
        self.rows = teacher.embedding_rows[used]
        self.start = np.round(teacher.embedding_start_s[used] * SAMPLE_RATE_HZ).astype(np.int64)
        embeddings = teacher.embeddings[used].astype(np.float32)
        logits = teacher.logits[partner].astype(np.float32)
        self.embeddings, self.logits = standardise(embeddings, embeddings), standardise(logits, logits)
        self.heard = np.ones(len(used), bool)
        if teacher.covered is not None:
            self._add_unheard(rows[~teacher.covered[rows]])
        self.sounds = SoundClasses.of(corpus, rows).of_recording[self.rows]
        cough = np.array([corpus.recordings[r].is_probably_cough is True for r in self.rows])
        # Coughs are a tenth of the audio and all that the heads will ever see.
        self.probability = np.where(cough, 4.0, 1.0) * np.where(
            self.sounds >= 0, config.encoder.named_share, 1.0
        )
        self.probability /= self.probability.sum()
        self._crowd = np.random.default_rng([config.seed, 9])
        kinds = [corpus.recordings[r] for r in self.rows]
        under = [r.is_probably_cough is False and r.event not in VOCAL_HARD for r in kinds]
        self._under = np.flatnonzero(under)
        sizes = Counter((kinds[i].source, kinds[i].event) for i in self._under)
        weight = np.array([sizes[kinds[i].source, kinds[i].event] ** -0.5 for i in self._under])
        self._under_probability = weight / weight.sum()

    def _add_unheard(self, rows: np.ndarray) -> None:
        """Every second of these rows, short recordings whole."""
        seconds = [max(1, self.waves.length(row) // SAMPLE_RATE_HZ) for row in rows]
        n = sum(seconds)
        self.rows = np.concatenate([self.rows, np.repeat(rows, seconds)])
        starts = [np.arange(k, dtype=np.int64) * SAMPLE_RATE_HZ for k in seconds]
        self.start = np.concatenate([self.start, *starts])
        self.heard = np.concatenate([self.heard, np.zeros(n, bool)])
        for name in ("embeddings", "logits"):
            known = getattr(self, name)
            setattr(self, name, np.concatenate([known, np.zeros((n, known.shape[1]), np.float32)]))

    def batch(self, size: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Windows and their targets.

        Returns
        -------
        tuple : (size, 16000) waveforms, (size, 384) embeddings, (size, n) logits, (size,) sound classes,
            (size,) bool whether the teacher heard it
        """
        chosen = self.random.choice(len(self.rows), size=size, p=self.probability)
        wave = np.zeros((size, SAMPLE_RATE_HZ), np.float32)
        for i, window in enumerate(chosen):
            phone = self.random.random() < self.phone_probability
            begin = int(self.start[window])
            piece = self.waves.samples(int(self.rows[window]), begin, begin + SAMPLE_RATE_HZ, phone=phone)
            # Short recordings anywhere in the window: the screener centres its events.
            at = int(self.random.integers(0, SAMPLE_RATE_HZ - len(piece) + 1))
            wave[i, at : at + len(piece)] = piece
        return (
            torch.from_numpy(wave),
            torch.from_numpy(self.embeddings[chosen]),
            torch.from_numpy(self.logits[chosen]),
            torch.from_numpy(self.sounds[chosen]),
            torch.from_numpy(self.heard[chosen]),
        )

    def crowds(self, size: int) -> Tensor:
        """(size, 16000): what to put under windows, seconds without a cough or a sound taken for one.

        Silence where the rows hold no such sound.
        """
        crowds = np.zeros((size, SAMPLE_RATE_HZ), np.float32)
        for crowd in crowds if len(self._under) else ():
            n_sounds = int(self._crowd.choice(CROWD))
            for i in self._crowd.choice(self._under, size=n_sounds, p=self._under_probability):
                begin = int(self.start[i])
                crowd += _as_loud(self.waves.samples(int(self.rows[i]), begin, begin + SAMPLE_RATE_HZ))
        return torch.from_numpy(crowds)


def _as_loud(samples: np.ndarray) -> np.ndarray:
    """A second of it, over and over where it is shorter, of power one unless it is next to silent."""
    second = np.resize(samples, SAMPLE_RATE_HZ)
    return np.asarray(second / (1e-4 + np.sqrt(np.square(second).mean())), np.float32)


def _partner(teacher: Teacher, used: np.ndarray) -> np.ndarray:
    """For each embedding window the logit window of the same second, or -1."""
    index = {
        (int(row), round(float(start) / MATCH_S)): i
        for i, (row, start) in enumerate(zip(teacher.logit_rows, teacher.logit_start_s, strict=True))
    }
    keys = zip(teacher.embedding_rows[used], teacher.embedding_start_s[used], strict=True)
    found = [index.get((int(row), round(float(start) / MATCH_S)), -1) for row, start in keys]
    return np.array(found, dtype=np.int64)


def build_encoder(config: TrainingConfig, teacher: Teacher) -> EncoderNetwork:
    """An encoder with random weights, seeded by the config."""
    torch.manual_seed(config.seed + 1)
    return EncoderNetwork(
        width=config.encoder.width,
        embedding_size=config.encoder.embedding_size,
        n_teacher_classes=len(teacher.classes),
        teacher_size=teacher.embeddings.shape[1],
    )


def check_learnable(corpus: Corpus, teacher: Teacher, rows: np.ndarray) -> None:
    """Whether an embedding can be learnt: from what the teacher heard, or from names of sounds.

    Raises
    ------
    CorpusTooSmall : it heard none of these rows, and no source has two kinds of sounds, by event and name
    """
    if not np.isin(teacher.embedding_rows, rows).any() and not SoundClasses.of(corpus, rows).names:
        raise errors.CorpusTooSmall(
            "There is nothing to learn an embedding from: no teacher/ folder, and no source with two kinds "
            f"of sounds (event and sublabel) of {MIN_CLIPS} clips each. Add a corpus with several, such as "
            "ESC-50."
        )


def train_encoder(
    corpus: Corpus,
    waves: Waves,
    teacher: Teacher,
    rows: np.ndarray,
    rooms: list[np.ndarray],
    config: TrainingConfig,
    *,
    start: Path | None = None,
    log: Path | None = None,
) -> EncoderNetwork:
    """Train on ``rows`` (indices into ``corpus.recordings``); returns the network in eval mode, on the CPU.

    Sound is cut and augmented on the CPU; the network is where ``training.device`` says.

    Parameters
    ----------
    start : weights to go on from, a file of ``save_weights``; else random ones
    log : JSON lines, one an epoch, if given
    """
    check_learnable(corpus, teacher, rows)
    torch.set_num_threads(config.threads)
    e = config.encoder
    where = device()
    network = build_encoder(config, teacher)
    if start is not None:
        load_weights(network, start)
    network.to(where)
    distributed.share_norms(network)
    if e.bfloat16:
        network.trunk.to(memory_format=torch.channels_last)
    windows = EncoderWindows(corpus, waves, teacher, rows, config)
    lighter = config.augment.lightened(e.augment_share).model_copy(update={"mix_snr_db": e.mix_snr_db})
    augment = Augmenter(lighter, rooms, seed=config.seed + 1)
    steps = len(windows.rows) // e.batch_size
    optimiser = torch.optim.AdamW(network.parameters(), lr=e.learning_rate, weight_decay=e.weight_decay)
    scale = e.embedding_size**0.5
    classes = SoundClasses.of(corpus, rows)
    rivals = torch.from_numpy(classes.rivals).to(where)
    # Where no sound has a name one output stands idle: torch warns of a layer without any.
    naming = torch.nn.Linear(e.embedding_size, max(1, len(classes.names))).to(where)
    optimiser.add_param_group({"params": naming.parameters()})
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, e.learning_rate, total_steps=e.epochs * steps, pct_start=0.15
    )
    with Progress() as progress, Tracker(config, "encoder", log) as tracker:
        bar = progress.add_task("training the encoder", total=e.epochs * steps)
        for epoch in range(e.epochs):
            network.train()
            began, began_core, total = time.perf_counter(), time.process_time(), 0.0
            for _ in range(steps):
                wave, *targets = windows.batch(e.batch_size)
                embedding, logits, sounds, heard = (target.to(where) for target in targets)
                if e.mix_probability:
                    mixed = torch.from_numpy(augment.random.random(len(wave)) < e.mix_probability)
                    wave = augment.mix(wave, windows.crowds(len(wave)), mixed)
                with torch.no_grad():
                    features = augment.mask(network.features(augment(wave).to(where)))
                with torch.autocast(where.type, dtype=torch.bfloat16, enabled=e.bfloat16):
                    student = distributed.gather(network.embed(distributed.share(features)).float()) * scale
                loss = _heard_loss(network.teacher_embedding(student), embedding, heard)
                loss = loss + e.class_loss * _heard_loss(network.teacher_logits(student), logits, heard)
                loss = loss + e.naming_loss * _naming_loss(naming(student), sounds, rivals)
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                distributed.average_gradients([*network.parameters(), *naming.parameters()])
                optimiser.step()
                schedule.step()
                total += float(loss.detach()) / steps
                progress.advance(bar)
            took = {"seconds": time.perf_counter() - began, "core_s": time.process_time() - began_core}
            tracker.epoch(epoch, **{name: round(s, 1) for name, s in took.items()}, loss=total)
    return network.eval().cpu()


def _heard_loss(prediction: Tensor, target: Tensor, heard: Tensor) -> Tensor:
    """Mean squared error over what the teacher heard."""
    if heard.all():
        return F.mse_loss(prediction, target)
    if not heard.any():
        return prediction.sum() * 0.0
    return F.mse_loss(prediction[heard], target[heard])


def _naming_loss(logits: Tensor, sounds: Tensor, rivals: Tensor) -> Tensor:
    """Cross-entropy of each clip's class among those of its source; clips without a class do not count."""
    named = sounds >= 0
    if not named.any():
        return logits.sum() * 0.0
    own = sounds[named]
    return F.cross_entropy(logits[named].masked_fill(~rivals[own], -1e4), own)
