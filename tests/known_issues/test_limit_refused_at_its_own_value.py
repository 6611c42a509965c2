"""A recording of exactly ``max_seconds`` was refused: adding up frame durations rounds upwards."""

from __future__ import annotations

import numpy as np
import pytest

from cough.audio import DecodeLimits, decode
from tests.cough.test_audio import wav


@pytest.mark.parametrize("seconds", [0.7, 2.0, 9.9])
@pytest.mark.parametrize("rate_hz", [11_025, 16_000, 44_100])
def test_exactly_the_limit_is_accepted(seconds: float, rate_hz: int) -> None:
    samples = np.zeros(round(seconds * rate_hz), np.int16)
    limits = DecodeLimits(max_seconds=len(samples) / rate_hz)
    assert decode(wav(samples, rate_hz=rate_hz), limits=limits).duration_s == pytest.approx(seconds, abs=1e-3)
