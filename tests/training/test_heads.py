"""Heads: calibrated, conformal, and only allowed to answer when sound adds something."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.export import run_onnx
from training.heads import HeadData, conformal_quantiles, platt, train_head
from training.scoring import sigmoid


def data(*, signal: float, level_signal: float, n: int = 400, seed: int = 0) -> HeadData:
    """Two recordings a group; labels leak into embeddings and levels as strongly as asked."""
    random = np.random.default_rng(seed)
    labels = np.repeat(random.integers(0, 2, n // 2), 2)
    embeddings = random.standard_normal((n, 24))
    embeddings[:, 0] += signal * labels
    levels = random.standard_normal((n, 6))
    levels[:, 1] += level_signal * labels
    groups = tuple(f"person {i // 2}" for i in range(n))
    folds = np.repeat(random.integers(1, 6, n // 2), 2)
    return HeadData(embeddings.astype(np.float32), levels, labels, folds, groups, 0)


def test_real_signal_answers_and_is_found_in_the_graph() -> None:
    made = data(signal=2.5, level_signal=0.0)
    head = train_head(made, test_fold=5, test_set="synthetic", seed=0)
    assert head.answers
    assert head.evidence.auroc > 0.9 > 0.65 > head.evidence.level_only_auroc
    in_graph = run_onnx(head.onnx, made.embeddings)[:, 0]
    expected = sigmoid(made.embeddings @ head.weight + head.bias)
    np.testing.assert_allclose(in_graph, expected, atol=1e-5)
    assert np.corrcoef(in_graph, made.labels)[0, 1] > 0.7


def test_no_signal_always_abstains() -> None:
    head = train_head(data(signal=0.0, level_signal=0.0), test_fold=5, test_set="synthetic", seed=0)
    assert not head.answers


def test_signal_that_levels_carry_too_always_abstains() -> None:
    head = train_head(data(signal=1.0, level_signal=1.5), test_fold=5, test_set="synthetic", seed=0)
    assert head.evidence.auroc > 0.6
    assert not head.answers


def test_conformal_sets_cover_on_average() -> None:
    """Over many calibrations the coverage of each class is at least what was asked."""
    random = np.random.default_rng(0)
    covered: dict[int, list[float]] = {0: [], 1: []}
    for _ in range(300):
        labels = random.integers(0, 2, 400)
        probability = sigmoid(random.standard_normal(400) + 1.2 * (2 * labels - 1))
        q = conformal_quantiles(probability[:200], labels[:200], coverage=0.9)
        for label in (0, 1):
            p = probability[200:][labels[200:] == label]
            covered[label].append(float(((p if label == 0 else 1 - p) <= q[label]).mean()))
    for label in (0, 1):
        assert np.mean(covered[label]) == pytest.approx(0.905, abs=0.012)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 40), st.floats(0.5, 0.99))
def test_too_few_to_exclude_anything(n: int, coverage: float) -> None:
    """With n calibration scores, no class may be excluded if ceil((n + 1) coverage) > n."""
    random = np.random.default_rng(n)
    probability, labels = random.random(2 * n), np.repeat([0, 1], n)
    quantiles = conformal_quantiles(probability, labels, coverage=coverage)
    if np.ceil((n + 1) * coverage) > n:
        assert quantiles == (1.0, 1.0)
    assert all(0 <= q <= 1 for q in quantiles)


def test_platt_recovers_a_known_calibration() -> None:
    random = np.random.default_rng(0)
    scores = random.standard_normal(20_000) * 2
    labels = (random.random(20_000) < sigmoid(0.7 * scores - 0.4)).astype(int)
    slope, shift = platt(scores, labels)
    assert (slope, shift) == (pytest.approx(0.7, abs=0.05), pytest.approx(-0.4, abs=0.05))
