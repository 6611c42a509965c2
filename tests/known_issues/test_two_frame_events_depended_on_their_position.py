"""``end_s - start_s >= min_event_s`` rounds: two-frame events were dropped at most positions."""

from __future__ import annotations

import numpy as np
import pytest

from cough.gate import find_events
from tests.cough.test_gate import SPEC


@pytest.mark.parametrize("offset", range(12))
def test_the_shortest_event_counts_wherever_it_lies(offset: int) -> None:
    spec = SPEC.model_copy(update={"threshold": 0.4})
    probabilities = np.zeros(20, np.float32)
    probabilities[offset : offset + 2] = 0.95
    assert len(list(find_events(probabilities, spec, duration_s=0.8))) == 1
