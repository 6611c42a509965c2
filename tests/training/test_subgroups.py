"""Subgroups: hand-counted figures, and none where too few people stand behind them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.training.test_gate_table import recording
from training.corpus import Corpus
from training.subgroups import MIN_GROUPS, as_markdown, subgroups

N = 12


@pytest.fixture
def corpus() -> Corpus:
    """A dozen coughs of women of 25, two of men of 60, a dozen other sounds; everyone once."""
    women = [
        replace(recording(i, "cough", "phones", f"w{i}"), sex="female", age=25.0, duration_s=0.4)
        for i in range(N)
    ]
    men = [replace(recording(N + i, "cough", "phones", f"m{i}"), sex="male", age=60.0) for i in range(2)]
    others = [recording(N + 2 + i, "speech", "talks", f"o{i}") for i in range(N)]
    return Corpus(Path(), (*women, *men, *others))


def test_counted_by_hand(corpus: Corpus) -> None:
    rows = np.arange(len(corpus.recordings))
    scores = np.concatenate([np.full(N - 3, 0.9), np.full(3, 0.3), np.full(2, 0.8), np.full(N, 0.4)])
    bands = np.full(len(rows), "wide")
    table = subgroups(corpus, rows, scores, bands, threshold=0.5)
    found = {(row["column"], row["value"]): row for row in table}
    women, men = found["sex", "female"], found["sex", "male"]
    assert (women["coughs"], women["groups_of_coughs"], women["others"]) == (N, N, 0)
    assert women["sensitivity"] == pytest.approx(9 / 12)
    assert women["auroc"] == pytest.approx(9 / 12)
    low, high = women["sensitivity_95"]
    assert low < 9 / 12 < high
    assert men["coughs"] == 2 < MIN_GROUPS
    assert men["sensitivity"] is None
    assert found["age", "under 30"]["coughs"] == N
    assert found["age", "50 and over"]["coughs"] == 2
    assert found["length", "under 1 s"]["coughs"] == N
    assert found["bandwidth, as measured", "wide"]["specificity"] == 1.0
    page = as_markdown(table)
    assert "| sex | male | 2 | 2 | 0 | - | - | - |" in page
