"""The short gates are trained anew when what decides them changed, and only then."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.config import TrainingConfig, read_config
from training.loso import Job, job_folder
from training.stages import PROJECT


@pytest.mark.parametrize(
    ("override", "anew"),
    [
        ("encoder.width=8", False),
        ("gate.target_sensitivity=0.9", False),
        ("loso.processes=1", False),
        ('tracker="mlflow"', False),
        ("gate.width=8", True),
        ("augment.mix_probability=0.1", True),
        ("seed=3", True),
    ],
)
def test_kept_unless_what_decides_them_changed(override: str, anew: bool) -> None:
    recipe = PROJECT / "training" / "default.toml"

    def folder(config: TrainingConfig) -> Path:
        return job_folder(Job(0, config, (), Path("waves"), Path("cache"), {"source": "0"}))

    changed = folder(read_config(recipe, [override])) != folder(read_config(recipe))
    assert changed == anew
