"""Figures for binary scores, with intervals that respect who is behind several recordings."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

Array = npt.NDArray[np.float64]


def auroc(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Area under the ROC curve; NaN when only one class is present.

    By ranks (Mann and Whitney 1947): ten times quicker than through the curve, which the
    bootstrap needs.

    Parameters
    ----------
    labels : (n,) of 0 and 1
    scores : (n,), higher means 1
    """
    positive = np.asarray(labels) == 1
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if not n_positive or not n_negative:
        return float("nan")
    rank_sum = rankdata(np.asarray(scores, np.float64))[positive].sum()
    return float((rank_sum - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def sensitivity(labels: npt.ArrayLike, scores: npt.ArrayLike, *, threshold: float) -> float:
    """Share of positives scoring at least ``threshold``."""
    y, s = np.asarray(labels), np.asarray(scores)
    return float((s[y == 1] >= threshold).mean())


def specificity(labels: npt.ArrayLike, scores: npt.ArrayLike, *, threshold: float) -> float:
    """Share of negatives scoring below ``threshold``."""
    y, s = np.asarray(labels), np.asarray(scores)
    return float((s[y == 0] < threshold).mean())


def threshold_for_sensitivity(labels: npt.ArrayLike, scores: npt.ArrayLike, *, target: float) -> float:
    """The highest threshold that at least ``target`` of the positives reach."""
    y, s = np.asarray(labels), np.asarray(scores)
    ranked = np.sort(s[y == 1])
    may_miss = int(np.floor(len(ranked) * (1 - target) + 1e-9))
    return float(ranked[min(may_miss, len(ranked) - 1)])


def specificity_at_sensitivity(labels: npt.ArrayLike, scores: npt.ArrayLike, *, target: float) -> float:
    """Specificity at the highest threshold that reaches the target sensitivity."""
    limit = threshold_for_sensitivity(labels, scores, target=target)
    return specificity(labels, scores, threshold=limit)


def expected_calibration_error(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike, *, bins: int = 10
) -> float:
    """Mean gap between probability and frequency over equal-width bins, weighted by bin size.

    Naeini, Cooper and Hauskrecht 2015, "Obtaining well calibrated probabilities using Bayesian
    binning".
    """
    y, p = np.asarray(labels, np.float64), np.asarray(probabilities, np.float64)
    index = np.minimum((p * bins).astype(int), bins - 1)
    gaps = [abs(y[index == b].mean() - p[index == b].mean()) * (index == b).mean() for b in np.unique(index)]
    return float(np.sum(gaps))


def group_bootstrap(
    figure: Callable[[npt.NDArray[np.int64]], float],
    groups: Sequence[str],
    *,
    seed: int,
    resamples: int = 1_000,
    coverage: float = 0.95,
) -> tuple[float, float]:
    """Percentile interval of a figure when whole groups (people) are drawn with replacement.

    Parameters
    ----------
    figure : takes row indices (with repeats) and gives a number; NaN draws are left out
    groups : (n,) who stands behind each row
    """
    random = np.random.default_rng(seed)
    names, inverse = np.unique(np.asarray(groups), return_inverse=True)
    members = [np.flatnonzero(inverse == g) for g in range(len(names))]
    values = []
    for _ in range(resamples):
        drawn = random.integers(len(names), size=len(names))
        values.append(figure(np.concatenate([members[g] for g in drawn])))
    tail = (1 - coverage) / 2
    low, high = np.nanquantile(values, [tail, 1 - tail])
    return float(low), float(high)
