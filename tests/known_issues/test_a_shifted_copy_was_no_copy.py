"""Copies that begin elsewhere were missed: the loudest tenth of a second was looked for on a grid."""

from __future__ import annotations

import csv
import wave
from pathlib import Path

import numpy as np
import pytest

from cough.bundle import Bundle
from cough.manifest import Manifest
from cough.validation import validate


def write(path: Path, samples: np.ndarray) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((samples * 32_000).astype("<i2").tobytes())


@pytest.mark.parametrize("cut", [480, 1_123, 5_920])
def test_a_copy_is_found_wherever_it_begins(
    tmp_path: Path, bundle: Bundle, bout: np.ndarray, cut: int
) -> None:
    write(tmp_path / "a.wav", bout)
    write(tmp_path / "b.wav", np.concatenate([np.zeros(cut), bout]))
    with open(tmp_path / "recordings.csv", "w", newline="") as file:
        csv.writer(file).writerows(
            [("recording_id", "path", "subject_id"), ("a", "a.wav", "p1"), ("b", "b.wav", "p2")]
        )
    found = validate(Manifest.open(tmp_path), bundle=bundle)
    assert [problem.code for problem in found] == ["near_duplicate_audio"]
