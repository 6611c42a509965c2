"""The gate's distilled member: what a general-audio teacher hears, in a network of the gate's size.

The other members learn which clips are called a cough, and with it how the corpus' coughs were recorded.
This one learns what the teacher made of every second, as the encoder does (``training.encoder``): its
embedding, its class logits, and the names of sounds within their source. What tells a cough from other
sounds in it is one linear layer (``training.cough_layer``). Trained here: without each part of the sources,
as ``training.loso`` trains the other member, and on everything but the test fold, going on from one of those.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training.config import TrainingConfig
from training.corpus import Corpus
from training.encoder import train_encoder
from training.joined import read_corpora, read_teacher
from training.loso import room_rows, rows_without
from training.parts import usable
from training.stages import run_stage, save_weights, stage_folder
from training.waves import read_waves


@dataclass(frozen=True)
class DistilledJob:
    """One network to train; small enough to hand to a process."""

    part: int | None
    """The part of the sources that it never hears; None: it hears all."""
    config: TrainingConfig
    corpus_roots: tuple[Path, ...]
    waves_folder: Path
    cache: Path
    inputs: dict[str, Any]
    start: Path | None = None
    """The folder whose weights it goes on from."""

    def run(self) -> Path:
        """Train it, unless its folder is there already."""
        return run_stage(self.cache, "distilled", self._decides(), self._train, together=self.part is None)

    @property
    def folder(self) -> Path:
        """Where its ``weights.npz`` is kept."""
        return stage_folder(self.cache, "distilled", self._decides())

    @property
    def own_config(self) -> TrainingConfig:
        """An encoder of the gate's width, trained by one thread."""
        c = self.config
        own = {
            "width": c.gate.width,
            "epochs": c.distilled.epochs if self.part is None else c.distilled.loso_epochs,
            "mix_probability": c.distilled.mix_probability,
        }
        encoder = c.encoder.model_copy(update=own)
        return c.model_copy(update={"encoder": encoder, "threads": 1})

    def rows(self, corpus: Corpus) -> tuple[np.ndarray, np.ndarray]:
        """What it learns from, and what it never hears: the part's rows."""
        if self.part is None:
            return usable(corpus, self.config), np.zeros(0, np.int64)
        return rows_without(corpus, self.config, self.part)

    def _decides(self) -> dict[str, Any]:
        sections = {"seed", "train_folds", "test_fold", "licences", "augment", "encoder"}
        config = self.own_config.model_dump(mode="json", include=sections)
        return {
            **self.inputs,
            "part": self.part,
            "config": config,
            "start": None if self.start is None else self.start.name,
        }

    def _train(self, folder: Path) -> None:
        corpus, waves = read_corpora(self.corpus_roots), read_waves(self.waves_folder)
        training, _ = self.rows(corpus)
        rooms = room_rows(corpus, self.config, without=self.part)
        network = train_encoder(
            corpus,
            waves,
            read_teacher(corpus),
            training,
            [waves.samples(int(row)) for row in rooms],
            self.own_config,
            start=self.start and self.start / "weights.npz",
            log=folder / "log.jsonl",
        )
        save_weights(network, folder / "weights.npz")
