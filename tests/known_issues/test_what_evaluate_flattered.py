"""Figures, leaks and confounders that ``cough evaluate`` told more of than there was to tell."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cough.evaluation.metrics import wilson
from cough.evaluation.resampling import compare, set_against
from cough.evaluation.sound import sound

FIVE = np.repeat([0.0, 1.0], 5)
APART = np.where(FIVE == 1, 0.9, 0.1)
PEOPLE = np.arange(10)
LEAST = wilson(1.0, 5)[0]
"""Of a share on which five people agree."""


def test_ten_people_told_apart_are_no_certainty() -> None:
    """All agreed in every draw, so that intervals of what rests on their agreement were points."""
    found = sound(FIVE, APART, pd.DataFrame({"said_x": FIVE}), "x", PEOPLE)
    for figure in (found["auroc"], found["auprc"]):
        assert (figure["value"], figure["low"]) == (1.0, pytest.approx(LEAST))
    assert all(one["accuracy"]["low"] <= wilson(1.0, 10)[0] + 1e-9 for one in found["abstaining"])
    rare = found["predictive_values"][0]
    assert (rare["prevalence"], rare["ppv"]["value"], rare["npv"]["value"]) == (0.005, 1.0, 1.0)
    assert rare["ppv"]["low"] == pytest.approx(0.005 / (0.005 + 0.995 * (1 - LEAST)), rel=1e-3)
    assert rare["npv"]["low"] < 0.999
    half = next(one for one in found["net_benefit"] if one["threshold"] == 0.5)["audio"]
    assert half["value"] == 0.5
    assert half["low"] <= 0.5 * LEAST


def test_what_is_set_against_so_few_is_no_certainty_either() -> None:
    found = set_against(FIVE, APART, APART, PEOPLE)
    for figure in (found["this"], found["other"]):
        assert (figure["low"], figure["high"]) == (pytest.approx(LEAST), 1.0)
    assert found["this_minus_other"] == pytest.approx({"value": 0, "low": LEAST - 1, "high": 1 - LEAST})
    assert compare(FIVE, APART, APART, PEOPLE)["other"] == found["other"]


def test_a_figure_that_varies_keeps_its_resampled_interval() -> None:
    random = np.random.default_rng(0)
    y = (np.arange(200) % 2).astype(float)
    p = 1 / (1 + np.exp(-random.normal(size=200) - y + 0.5))
    found = sound(y, p, pd.DataFrame({"said_x": np.full(200, np.nan)}), "x", np.arange(200))
    ppv = found["predictive_values"][-1]["ppv"]
    assert ppv["high"] - ppv["low"] < 0.25
    against = set_against(y, p, random.random(200), np.arange(200))
    assert against["this_minus_other"]["low"] > 0
