"""A training config took the test fold into training, negative epochs, and a key below a number."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from training.config import TrainingConfig, read_config
from training.stages import PROJECT

DEFAULT = PROJECT / "training" / "default.toml"


@pytest.mark.parametrize(
    "override",
    [
        "train_folds=[1, 2, 3, 4, 5]",
        "test_fold=3",
        "train_folds=[]",
        "gate.epochs=0",
        "gate.width=-8",
        "encoder.window_s=-1.0",
        "threads=0",
        "gate.target_sensitivity=7.0",
        "seed=-1",
        "augment.mix_snr_db=[5.0, 1.0]",
        "augment.room_probability=1.5",
        "encoder.learning_rate=nan",
        "distilled.epochs=0",
    ],
)
def test_what_cannot_be_trained_is_refused(override: str) -> None:
    with pytest.raises(ValidationError):
        read_config(DEFAULT, [override])


def test_a_key_below_a_number_is_named() -> None:
    with pytest.raises(ValueError, match="seed is no section"):
        read_config(DEFAULT, ["seed.x=1"])


def test_the_shipped_recipe_stands() -> None:
    assert read_config(DEFAULT).model_dump() == TrainingConfig().model_dump()
