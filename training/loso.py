"""Leave sources out: every recording scored by a gate that never heard its corpus.

A score inside a corpus says little about other people's phones, so this is the yardstick of the
recipe (``training.ablation``), where the shipped calibration and threshold come from, and what
corrects labels (``training.clips``). The sources are dealt into parts, each with coughs, speech and
other sounds (``training.parts``); as many gates are trained, each without one part and always without
fold 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from training import distributed
from training.config import TrainingConfig
from training.corpus import Corpus
from training.gate import train_gate
from training.joined import read_corpora, read_teacher
from training.nearcoughs import near_coughs
from training.parts import N_PARTS, PARTS, deal, licensed, part_of, usable
from training.scoring import frame_logits
from training.stages import run_stage, stage_folder
from training.waves import read_waves

SYNTHETIC_SOUNDS = 1_500
__all__ = ["N_PARTS", "PARTS", "part_of"]  # their place before there were other corpora


def room_rows(corpus: Corpus, config: TrainingConfig) -> np.ndarray:
    """Impulse responses of the training folds."""
    return corpus.where(
        lambda r: r.event == "room_impulse_response" and licensed(r, config) and r.fold in config.train_folds
    )


def synthetic_sounds(config: TrainingConfig) -> list[np.ndarray]:
    """The extra sounds without a cough that the config asks for; none costs nothing."""
    if not config.gate.synthetic_share:
        return []
    return near_coughs(SYNTHETIC_SOUNDS, seed=config.seed)


@dataclass(frozen=True)
class Heldout:
    """Frame logits of recordings by gates that never heard their source."""

    rows: np.ndarray
    """(n,) indices into ``Corpus.recordings``."""
    logits: list[np.ndarray]
    """n arrays (n_frames,) float32."""

    @classmethod
    def read(cls, folders: Sequence[Path]) -> Heldout:
        """Join what the parts wrote."""
        rows: list[np.ndarray] = []
        logits: list[np.ndarray] = []
        for folder in folders:
            with np.load(folder / "heldout.npz", allow_pickle=False) as arrays:
                rows.append(arrays["rows"])
                logits += np.split(arrays["logits"].astype(np.float32), np.cumsum(arrays["frames"])[:-1])
        return cls(np.concatenate(rows), logits)

    def clip_scores(self, n_recordings: int, score_frames: int) -> np.ndarray:
        """(n_recordings,) sigmoid of the highest mean logit; NaN where nothing was held out."""
        out = np.full(n_recordings, np.nan)
        kernel = np.full(score_frames, 1.0 / score_frames)
        for row, z in zip(self.rows, self.logits, strict=True):
            padded = np.concatenate([np.full(score_frames, -30.0), z, np.full(score_frames, -30.0)])
            out[row] = 0.5 * (1 + np.tanh(0.5 * np.convolve(padded, kernel, "valid").max()))
        return out


@dataclass(frozen=True)
class Job:
    """One gate to train without one part; small enough to hand to a process."""

    part: int
    config: TrainingConfig
    corpus_roots: tuple[Path, ...]
    waves_folder: Path
    cache: Path
    inputs: dict[str, Any]
    heldout_folders: tuple[Path, ...] = ()


def leave_sources_out(jobs: Sequence[Job], *, processes: int) -> list[Path]:
    """Run the jobs, several processes of one thread each; their folders in the same order."""
    if distributed.rank() == 0:
        alone = {"mp_context": get_context("spawn"), "initializer": distributed.leave}
        with ProcessPoolExecutor(processes, **alone) as pool:
            list(pool.map(run_job, jobs))
    distributed.wait()
    return [stage_folder(job.cache, "loso", _inputs(job)) for job in jobs]


def run_job(job: Job) -> Path:
    """Train and score one part, unless its folder is there already."""
    return run_stage(job.cache, "loso", _inputs(job), lambda folder: _train_and_score(job, folder))


def _inputs(job: Job) -> dict[str, Any]:
    return {**job.inputs, "part": job.part, "config": job.config.model_dump(mode="json", exclude={"tracker"})}


def _train_and_score(job: Job, folder: Path) -> None:
    config = job.config
    corpus = read_corpora(job.corpus_roots)
    teacher, waves = read_teacher(corpus), read_waves(job.waves_folder)
    rows, part = usable(corpus, config), deal(corpus, config).part
    training, scored = rows[part[rows] != job.part], rows[part[rows] == job.part]
    scores = None
    if job.heldout_folders:
        heldout = Heldout.read(job.heldout_folders)
        scores = heldout.clip_scores(len(corpus.recordings), config.gate.score_frames)
    rooms = [row for row in room_rows(corpus, config) if part[row] != job.part]
    network = train_gate(
        corpus,
        waves,
        teacher,
        training,
        [waves.samples(int(row)) for row in rooms],
        config,
        synthetic=synthetic_sounds(config),
        heldout_scores=scores,
        log=folder / "log.jsonl",
    )
    logits = frame_logits(network, waves, scored)
    np.savez(
        folder / "heldout.npz",
        rows=scored,
        frames=np.array([len(z) for z in logits]),
        logits=np.concatenate(logits).astype(np.float16),
    )
