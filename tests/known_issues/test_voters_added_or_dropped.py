"""A condition from which a voter was taken, or to which one was added, kept the promises of its set."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cough.audio import Waveform
from cough.bundle import DEFAULT_BUNDLE
from cough.screener import Screener
from tests.cough.test_bundle import edit


def dropped(condition: dict[str, Any]) -> None:
    condition["voters"].pop()


def added(condition: dict[str, Any]) -> None:
    condition["voters"].append({**condition["voters"][0], "name": "mine"})
    condition["voters"][-1]["file"] = "mine.onnx"


@pytest.mark.parametrize("change", [dropped, added])
def test_it_abstains(tmp_path: Path, bout: np.ndarray, change: Callable[[dict[str, Any]], None]) -> None:
    folder = Path(shutil.copytree(DEFAULT_BUNDLE, tmp_path / "bundle"))

    def edited(table: dict[str, Any]) -> None:
        condition = table["conditions"][0]
        first = condition["voters"][0]["file"]
        shutil.copy(folder / first, folder / "mine.onnx")
        table["files"]["mine.onnx"] = table["files"][first]
        change(condition)

    edit(folder, edited)
    (answer,) = Screener(folder).screen(Waveform.from_samples(bout, rate_hz=16_000)).conditions
    assert "models_changed" in answer.abstained_because
