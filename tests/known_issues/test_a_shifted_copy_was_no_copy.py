"""Copies that begin elsewhere were missed: the loudest tenth of a second was looked for on a grid."""

from __future__ import annotations

import csv
import io
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cough.audio import SAMPLE_RATE_HZ as RATE_HZ
from cough.bundle import Bundle
from cough.copies import NEAR_CORRELATION, ROUNDING, Pieces, correlation
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


@given(st.integers(0, 2**32 - 1), st.integers(0, 8_000), st.sampled_from(["noise", "tone", "clicks"]))
@settings(max_examples=30, deadline=None)
def test_spectra_never_hide_a_copy(seed: int, shift: int, kind: str) -> None:
    """They choose what is compared by ear: most of a validation went into pairs that they rule out."""
    random = np.random.default_rng(seed)
    first = {
        "noise": random.standard_normal(RATE_HZ),
        "tone": np.sin(np.arange(RATE_HZ) * random.uniform(0.01, 3)),
        "clicks": (random.random(RATE_HZ) < 0.001).astype(float),
    }[kind]
    second = np.roll(first, shift) * random.uniform(0.05, 1) + 0.1 * random.standard_normal(RATE_HZ)
    pieces = Pieces(io.BytesIO())
    numbers = [pieces.add(one.astype(np.float16)) for one in (first, second, 0 * first)]
    spectra = pieces.spectra(numbers)
    bound = spectra @ spectra.T
    assert bound[0, 1] >= correlation(pieces[0], pieces[1]) - ROUNDING
    assert bound[2].max() == 0


def test_noise_is_ruled_out_without_a_transform_for_each_pair() -> None:
    pieces = Pieces(io.BytesIO())
    random = np.random.default_rng(0)
    numbers = [pieces.add(random.standard_normal(RATE_HZ).astype(np.float16)) for _ in range(20)]
    spectra = pieces.spectra(numbers)
    bound = spectra @ spectra.T
    assert bound[~np.eye(20, dtype=bool)].max() < NEAR_CORRELATION - 0.05
