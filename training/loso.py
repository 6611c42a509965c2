"""Leave sources out: every recording scored by a gate that never heard its corpus.

A score inside a corpus says little about other people's phones, so this is the yardstick of the
recipe (``training.ablation``), where the shipped calibration and threshold come from, and what
corrects labels (``training.clips``). The sources are dealt into parts, each with coughs, speech and
other sounds (``training.parts``); as many gates are trained, each without one part and always without
fold 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training.config import TrainingConfig
from training.corpus import Corpus
from training.gate import seeds_of_members, train_gate
from training.heldout import Heldout
from training.joined import read_corpora, read_teacher
from training.nearcoughs import near_coughs
from training.networks import GateEnsemble
from training.parts import deal, licensed, usable
from training.scoring import frame_logits
from training.stages import run_stage, save_weights, stage_folder
from training.waves import read_waves

SYNTHETIC_SOUNDS = 1_500


def room_rows(corpus: Corpus, config: TrainingConfig, *, without: int | None = None) -> np.ndarray:
    """Impulse responses of the training folds, but for those of a part of the sources."""
    rows = corpus.where(
        lambda r: r.event == "room_impulse_response" and licensed(r, config) and r.fold in config.train_folds
    )
    return rows if without is None else rows[deal(corpus, config).part[rows] != without]


def synthetic_sounds(config: TrainingConfig) -> list[np.ndarray]:
    """The extra sounds without a cough that the config asks for; none costs nothing."""
    if not config.gate.synthetic_share:
        return []
    return near_coughs(SYNTHETIC_SOUNDS, seed=config.seed)


def rows_without(corpus: Corpus, config: TrainingConfig, part: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows that the gate without this part learns from, and those of the part, which it scores.

    What shares a group with the part is not learnt from either: ESC-50 and UrbanSound8K are cut from some
    of the same originals.
    """
    rows = usable(corpus, config)
    scored = rows[deal(corpus, config).part[rows] == part]
    unheard = {corpus.recordings[row].group_id for row in scored}
    training = [row for row in rows if corpus.recordings[row].group_id not in unheard]
    return np.array(training, dtype=np.int64), scored


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

    def run(self) -> Path:
        """Train and score its part, unless that is there already: ``heldout.npz`` and ``weights.npz``."""
        return run_stage(self.cache, "loso", _inputs(self), lambda folder: _train_and_score(self, folder))

    @property
    def folder(self) -> Path:
        """Where what it makes is kept; another encoder, threshold or number of processes makes the same."""
        return stage_folder(self.cache, "loso", _inputs(self))


def _inputs(job: Job) -> dict[str, Any]:
    gate = {"calibration_clips_per_group", "target_sensitivity", "warm_start"}
    apart = dict.fromkeys(("distilled", "encoder", "loso", "tracker"), True)
    config = job.config.model_dump(mode="json", exclude={**apart, "gate": gate})
    return {**job.inputs, "part": job.part, "config": config}


def _train_and_score(job: Job, folder: Path) -> None:
    config = job.config
    corpus = read_corpora(job.corpus_roots)
    teacher, waves = read_teacher(corpus), read_waves(job.waves_folder)
    training, scored = rows_without(corpus, config, job.part)
    heldout = Heldout.read(job.heldout_folders) if job.heldout_folders else None
    rooms = room_rows(corpus, config, without=job.part)
    impulses, synthetic = [waves.samples(int(row)) for row in rooms], synthetic_sounds(config)
    members = [
        train_gate(
            corpus,
            waves,
            teacher,
            training,
            impulses,
            config.model_copy(update={"seed": seed}),
            synthetic=synthetic,
            heldout=heldout,
            log=folder / "log.jsonl",
        )
        for seed in seeds_of_members(config)
    ]
    save_weights(members[0], folder / "weights.npz")
    Heldout(scored, frame_logits(GateEnsemble(members), waves, scored)).write(folder)
