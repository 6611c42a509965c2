"""Figures against libraries and known answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from cough.evaluation import metrics
from cough.evaluation.baselines import LEVEL_STATISTICS, level_statistics
from cough.evaluation.metrics import (
    auroc,
    expected_calibration_error,
    group_bootstrap,
    group_resamples,
    sensitivity,
    specificity,
    specificity_at_sensitivity,
    threshold_for_sensitivity,
)
from cough.evaluation.resampling import interval, intervals, rates


def test_auroc_of_one_class_is_not_a_number() -> None:
    assert np.isnan(auroc([1, 1], [0.1, 0.2]))
    assert auroc([0, 1], [0.1, 0.2]) == 1.0


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 9)), min_size=2, max_size=60))
def test_areas_equal_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    labels, scores = np.array(pairs).T
    if 0 < labels.sum() < len(labels):
        assert auroc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
        expected = average_precision_score(labels, scores)
        assert metrics.auprc(labels, scores) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), min_size=2, max_size=60), st.floats(0.05, 1))
def test_threshold_reaches_its_sensitivity(pairs: list[tuple[int, float]], target: float) -> None:
    labels, scores = np.array(pairs).T
    if not 0 < labels.sum() < len(labels):
        return
    limit = threshold_for_sensitivity(labels, scores, target=target)
    assert sensitivity(labels, scores, threshold=limit) >= target - 1e-9
    at = specificity_at_sensitivity(labels, scores, target=target)
    assert at == specificity(labels, scores, threshold=limit)


def test_calibration_error_of_known_cases() -> None:
    random = np.random.default_rng(0)
    p = random.random(50_000)
    assert expected_calibration_error(random.random(50_000) < p, p) < 0.01
    assert expected_calibration_error(np.zeros(100), np.full(100, 0.7)) == pytest.approx(0.7)


def test_a_calibration_error_lies_in_its_interval() -> None:
    """Resampling adds noise, which makes a distance larger: its own percentiles were above it."""
    random = np.random.default_rng(3)
    p = random.random(150)
    labels = (random.random(150) < p).astype(int)
    one, other = (
        metrics.group_bootstrap(
            lambda r: expected_calibration_error(labels[r], p[r]),
            [str(i) for i in range(150)],
            seed=0,
            resamples=200,
            distance=distance,
        )
        for distance in (True, False)
    )
    value = expected_calibration_error(labels, p)
    assert 0 <= one[0] < value < one[1]
    assert one[1] < other[1]


def test_interval_widens_when_people_repeat() -> None:
    """Ten copies of each person are no more evidence than one."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 60)
    scores = random.random(60) + 0.4 * labels
    people = [str(i) for i in range(60)]

    def interval(copies: int, groups: list[str]) -> float:
        y, s = np.repeat(labels, copies), np.repeat(scores, copies)
        low, high = group_bootstrap(lambda rows: auroc(y[rows], s[rows]), groups, seed=0, resamples=300)
        return high - low

    once = interval(1, people)
    grouped = interval(10, list(np.repeat(people, 10)))
    fooled = interval(10, [str(i) for i in range(600)])
    assert grouped == pytest.approx(once, rel=0.2)
    assert fooled < 0.6 * once


def test_many_figures_share_the_draws_of_one() -> None:
    random = np.random.default_rng(2)
    y, s, who = random.integers(0, 2, 90), random.random(90), random.integers(0, 30, 90).astype(str)
    one = interval(lambda r: auroc(y[r], s[r]), who)
    both = intervals(lambda r: {"auroc": auroc(y[r], s[r]), "none": float("nan")}, who)
    assert both["auroc"] == pytest.approx(one)
    assert np.isnan(both["none"]["value"])
    found = rates({"high": (s > 0.5, y == 1), "few": (s > 0.5, who == "3")}, who)
    assert found["high"] == pytest.approx(interval(lambda r: sensitivity(y[r], s[r], threshold=0.5), who))
    assert found["few"] is None


def test_a_draw_is_whole_people_as_often_as_they_were_drawn() -> None:
    groups = np.array(["b", "a", "b", "c", "a", "b"])
    for rows in group_resamples(groups, seed=0, resamples=20):
        times = np.bincount(rows, minlength=6)
        assert all(len(set(times[groups == g])) == 1 for g in "abc")
        assert sum(times[groups == g][0] for g in "abc") == 3


def test_of_nobody_there_is_no_figure() -> None:
    assert np.isnan(sensitivity([0, 0], [0.1, 0.2], threshold=0.5))
    assert np.isnan(specificity([1, 1], [0.1, 0.2], threshold=0.5))
    assert np.isnan(specificity_at_sensitivity([0, 0], [0.1, 0.2], target=0.9))
    assert np.isnan(specificity_at_sensitivity([1, 1], [0.1, 0.2], target=0.9))


def test_level_statistics_hear_levels_only() -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, 32_000).astype(np.float32)
    plain = dict(zip(LEVEL_STATISTICS, level_statistics(samples), strict=True))
    louder = dict(zip(LEVEL_STATISTICS, level_statistics(samples * np.float32(2)), strict=True))
    assert plain["duration_s"] == 2.0
    assert louder["rms_db"] - plain["rms_db"] == pytest.approx(6.02, abs=0.01)
    assert louder["peak_db"] - plain["peak_db"] == pytest.approx(6.02, abs=0.01)
    for name in ("flatness_db", "roll_off_hz", "dynamic_range_db"):
        assert louder[name] == pytest.approx(plain[name], abs=0.05)
    assert np.isfinite(level_statistics(np.zeros(1, np.float32))).all()


def test_delong_agrees_with_the_bootstrap() -> None:
    random = np.random.default_rng(4)
    labels = random.integers(0, 2, 400)
    good, fair = random.normal(size=400) + 1.2 * labels, random.normal(size=400) + 0.6 * labels
    difference, p_value = metrics.delong(labels, good, fair)
    assert difference == pytest.approx(metrics.auroc(labels, good) - metrics.auroc(labels, fair))
    low, _ = metrics.group_bootstrap(
        lambda r: metrics.auroc(labels[r], good[r]) - metrics.auroc(labels[r], fair[r]),
        [str(i) for i in range(400)],
        seed=1,
    )
    assert (low > 0) == (p_value < 0.05)
    assert metrics.delong(labels, good, good) == (0.0, 1.0)


def test_holm_is_never_below_and_keeps_the_order() -> None:
    assert metrics.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert metrics.holm([]) == []


def test_predictive_values_by_counting() -> None:
    ppv, npv = metrics.predictive_values(sensitivity=0.9, specificity=0.8, prevalence=0.1)
    assert ppv == pytest.approx(90 / (90 + 180))
    assert npv == pytest.approx(720 / (720 + 10))


def test_net_benefit_of_calling_everybody_at_the_base_rate_is_nothing() -> None:
    labels = np.array([1, 0, 0, 0])
    assert metrics.net_benefit(labels, np.ones(4), threshold=0.25) == pytest.approx(0.0)
