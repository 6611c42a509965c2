"""The encoder that ships: trained on everything but the test fold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.config import TrainingConfig
from training.encoder import train_encoder
from training.joined import read_corpora, read_teacher
from training.loso import room_rows
from training.parts import usable
from training.stages import run_stage, save_weights, stage_folder
from training.waves import read_waves


@dataclass(frozen=True)
class EncoderJob:
    """The encoder to train; small enough to hand to a process."""

    config: TrainingConfig
    corpus_roots: tuple[Path, ...]
    waves_folder: Path
    cache: Path
    inputs: dict[str, Any]

    @property
    def folder(self) -> Path:
        """Where its ``weights.npz`` is kept."""
        return stage_folder(self.cache, "encoder", self._decides())

    def run(self) -> Path:
        """Train it, unless its folder is there already."""
        return run_stage(self.cache, "encoder", self._decides(), self._train, together=True)

    def _decides(self) -> dict[str, Any]:
        return {**self.inputs, "config": self.config.encoder.model_dump()}

    def _train(self, folder: Path) -> None:
        corpus, waves = read_corpora(self.corpus_roots), read_waves(self.waves_folder)
        network = train_encoder(
            corpus,
            waves,
            read_teacher(corpus),
            usable(corpus, self.config),
            [waves.samples(int(row)) for row in room_rows(corpus, self.config)],
            self.config,
            log=folder / "log.jsonl",
        )
        save_weights(network, folder / "weights.npz")
