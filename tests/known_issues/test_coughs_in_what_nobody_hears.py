"""In the pause of a bout, noise at -80 dBFS was counted as coughs: the gate hears sounds without their level.

Of the events in 150 recordings of coughs a twentieth peaked 40 dB below the loudest of their recording.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cough import errors
from cough.bundle import Bundle
from cough.gate import CoughGate
from training import synth

RATE, HOP = 16_000, 640


@pytest.fixture(scope="module")
def gate(bundle: Bundle) -> CoughGate:
    return CoughGate(bundle)


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), level_db=st.floats(-85, -65), pause_s=st.floats(0.4, 1.4))
def test_nothing_is_scored_in_a_faint_pause(
    gate: CoughGate, seed: int, level_db: float, pause_s: float
) -> None:
    random = np.random.default_rng(seed)
    one, other = (0.5 * synth.cough(random)[: RATE // 4] for _ in range(2))
    pause = random.normal(0, 10 ** (level_db / 20), round(pause_s * RATE))
    samples = np.concatenate([one, pause, other]).astype(np.float32)
    first, last = -(-len(one) // HOP), (len(one) + len(pause)) // HOP
    probabilities = gate.detect(samples).frame_probabilities
    assert (probabilities[first:last] == 0).all()
    assert probabilities[:first].max() > 0


def test_samples_that_are_no_numbers_are_not_the_bundles_fault(gate: CoughGate) -> None:
    samples = np.full(RATE, 0.1, np.float32)
    samples[100] = np.nan
    with pytest.raises(errors.NonFiniteSamples):
        gate.detect(samples)
    with pytest.raises(errors.NonFiniteSamples):
        list(gate.events([samples]))
