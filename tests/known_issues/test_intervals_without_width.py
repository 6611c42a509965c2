"""Where all subjects agreed, an interval was a point: 8 of 8 coughs found was "1.000 (1.000 to 1.000)"."""

from __future__ import annotations

import numpy as np
import pytest

from cough.evaluation.metrics import wilson
from cough.evaluation.resampling import auroc_interval, intervals, rates


def test_a_share_of_none_or_all_has_the_width_of_so_few_subjects() -> None:
    of = np.array([0] * 8 + [1] * 8)
    among = np.arange(16)
    found = rates({"none": (of, among < 8), "all": (of, among >= 8)}, np.array(list("abcdefghijklmnop")))
    assert found["none"] is not None
    assert found["all"] is not None
    assert (found["none"]["low"], found["all"]["high"]) == (0.0, 1.0)
    assert found["none"]["high"] == pytest.approx(0.324, abs=0.001)
    assert found["all"]["low"] == pytest.approx(0.676, abs=0.001)


def test_many_recordings_of_few_people_count_as_few() -> None:
    people = np.repeat(list("abcdef"), 50)
    found = rates({"all": (np.ones(300), np.ones(300))}, people)["all"]
    assert found is not None
    assert found["low"] == pytest.approx(wilson(1.0, 6)[0])


def test_perfect_order_of_few_is_no_proof() -> None:
    y = np.array([0] * 40 + [1] * 6)
    found = auroc_interval(y, y.astype(float), np.arange(46))
    assert found is not None
    assert (found["value"], found["high"]) == (1.0, 1.0)
    assert found["low"] == pytest.approx(wilson(1.0, 6)[0])


def test_what_is_no_share_keeps_its_interval() -> None:
    found = intervals(lambda rows: {"margin": 0.0, "sensitivity": 1.0}, np.arange(9))
    assert all(figure["low"] == figure["high"] for figure in found.values())


def test_a_share_that_varies_is_resampled_as_before() -> None:
    of, people = np.arange(40) % 4 == 0, np.arange(40)
    mixed = rates({"some": (of, np.ones(40))}, people)["some"]
    plain = intervals(lambda rows: {"some": float(of[rows].mean())}, people)["some"]
    assert mixed == pytest.approx(plain)
