"""A dollar sign in a file name broke ``--plot``; unsigned samples divided by zero."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cough.audio import Waveform
from cough.figure import draw_screening
from cough.screener import Screener


def test_titles_are_plain_text(tmp_path: Path, screener: Screener, bout: np.ndarray) -> None:
    waveform = Waveform.from_samples(bout, rate_hz=16_000)
    result = screener.screen(waveform)
    for title in ("x$1_$2.m4a", "咳嗽.m4a"):
        draw_screening(waveform, result, title=title, path=tmp_path / "p.png")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int8, np.int16, np.int32])
def test_integers_of_any_type(dtype: type[np.integer]) -> None:
    info = np.iinfo(dtype)
    wave = np.sin(np.arange(16_000) / 10) * 0.5
    middle, half = (info.max + info.min + 1) / 2, (info.max - info.min) / 2
    samples = Waveform.from_samples((middle + half * wave).astype(dtype), rate_hz=16_000).samples
    np.testing.assert_allclose(samples, wave, atol=2.0 / half + 1e-6)
