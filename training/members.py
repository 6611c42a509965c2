"""The gate that ships: its members, each trained on everything but the test fold.

A member is one process of one thread, so that two of them keep two cores busy without waiting for each
other. Under ``torchrun`` and on a GPU they are trained one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training import distributed
from training.config import TrainingConfig
from training.cough_layer import LayerJob
from training.device import device
from training.distilled import DistilledJob
from training.gate import build_gate, seeds_of_members, train_gate
from training.heldout import Heldout
from training.joined import read_corpora, read_teacher
from training.loso import room_rows, synthetic_sounds
from training.networks import GateNetwork
from training.parts import usable
from training.stages import load_weights, run_all, run_stage, save_weights
from training.waves import read_waves


@dataclass(frozen=True)
class MemberJob:
    """One member to train; small enough to hand to a process."""

    config: TrainingConfig
    """With the member's own seed."""
    corpus_roots: tuple[Path, ...]
    waves_folder: Path
    cache: Path
    inputs: dict[str, Any]
    heldout_folders: tuple[Path, ...]
    start: Path | None
    """The weights that it goes on from."""

    def run(self) -> Path:
        """Train it, unless its folder is there already."""
        return run_stage(self.cache, "gate", self.inputs, lambda folder: _train(self, folder), together=True)


def member_jobs(
    config: TrainingConfig,
    corpus_roots: tuple[Path, ...],
    waves_folder: Path,
    cache: Path,
    inputs: dict[str, Any],
    loso_folders: Sequence[Path],
) -> list[MemberJob]:
    """A job for each member; ``loso_folders`` are those of ``training.loso``."""
    heard = tuple(loso_folders) if config.gate.listens_to_heldout else ()
    gate = config.gate.model_dump(exclude={"target_sensitivity", "calibration_clips_per_group", "members"})
    jobs = []
    for i, seed in enumerate(seeds_of_members(config)):
        begins_at = loso_folders[i % len(loso_folders)] if config.gate.warm_start else None
        own = config.model_copy(update={"seed": seed, "threads": 1})
        decides = {
            **inputs,
            "config": gate,
            "seed": seed,
            "heldout": [folder.name for folder in heard],
            "start": begins_at and begins_at.name,
        }
        start = begins_at and begins_at / "weights.npz"
        jobs.append(MemberJob(own, corpus_roots, waves_folder, cache, decides, heard, start))
    return jobs


def at_once(config: TrainingConfig) -> int:
    """How many members are trained at a time."""
    if distributed.size() > 1 or device().type != "cpu":
        return 1
    return max(1, min(config.threads, config.gate.members))


def train_members(jobs: Sequence[MemberJob | DistilledJob | LayerJob], *, processes: int) -> list[Path]:
    """Folders of what the jobs make, in their order; what is there already is not made anew."""
    if processes == 1:
        return [job.run() for job in jobs]
    return run_all(jobs, processes=processes)


def read_members(folders: Sequence[Path], jobs: Sequence[MemberJob]) -> list[GateNetwork]:
    """The members in these folders, in evaluation mode."""
    teacher = read_teacher(read_corpora(jobs[0].corpus_roots))
    members = [build_gate(job.config, teacher) for job in jobs]
    for member, folder in zip(members, folders, strict=True):
        load_weights(member, folder / "weights.npz")
    return [member.eval() for member in members]


def _train(job: MemberJob, folder: Path) -> None:
    config = job.config
    corpus = read_corpora(job.corpus_roots)
    waves = read_waves(job.waves_folder)
    member = train_gate(
        corpus,
        waves,
        read_teacher(corpus),
        usable(corpus, config),
        [waves.samples(int(row)) for row in room_rows(corpus, config)],
        config,
        synthetic=synthetic_sounds(config),
        heldout=Heldout.read(job.heldout_folders) if job.heldout_folders else None,
        start=job.start,
        log=folder / "log.jsonl",
    )
    save_weights(member, folder / "weights.npz")
