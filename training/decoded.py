"""The corpus decoded once, for every command that hears all of it."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from training.config import TrainingConfig
from training.corpus import Corpus
from training.stages import run_stage, source_hash
from training.waves import write_waves

DECODING = ("cough.audio", "cough.container", "cough.mixer", "training.codecs", "training.waves")
"""The code that decides the samples."""


def prepare_waves(corpus: Corpus, cache: Path, config: TrainingConfig) -> Path:
    """The stage that decodes the corpus; its folder for ``read_waves``."""
    return run_stage(
        cache,
        "waves",
        {
            "data": corpus.data_hash,
            "seed": config.seed,
            "source": source_hash(DECODING),
            "libraries": {name: version(name) for name in ("av", "numpy", "soxr")},
        },
        lambda folder: write_waves(corpus, folder, seed=config.seed, workers=config.threads),
    )
