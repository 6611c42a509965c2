"""Figures for binary scores, with intervals that respect who is behind several recordings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from cough import odds

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
    """Share of positives scoring at least ``threshold``; NaN without positives."""
    found = np.asarray(scores)[np.asarray(labels) == 1] >= threshold
    return float(found.mean()) if len(found) else float("nan")


def specificity(labels: npt.ArrayLike, scores: npt.ArrayLike, *, threshold: float) -> float:
    """Share of negatives scoring below ``threshold``; NaN without negatives."""
    spared = np.asarray(scores)[np.asarray(labels) == 0] < threshold
    return float(spared.mean()) if len(spared) else float("nan")


def threshold_for_sensitivity(labels: npt.ArrayLike, scores: npt.ArrayLike, *, target: float) -> float:
    """The highest threshold that at least ``target`` of the positives reach; NaN without positives."""
    y, s = np.asarray(labels), np.asarray(scores)
    ranked = np.sort(s[y == 1])
    if not len(ranked):
        return float("nan")
    may_miss = int(np.floor(len(ranked) * (1 - target) + 1e-9))
    return float(ranked[min(may_miss, len(ranked) - 1)])


def specificity_at_sensitivity(labels: npt.ArrayLike, scores: npt.ArrayLike, *, target: float) -> float:
    """Specificity at the highest threshold that reaches the target sensitivity; NaN without both classes."""
    limit = threshold_for_sensitivity(labels, scores, target=target)
    return specificity(labels, scores, threshold=limit) if np.isfinite(limit) else limit


def expected_calibration_error(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike, *, bins: int = 10
) -> float:
    """Mean gap between probability and frequency over equal-width bins, weighted by bin size.

    Naeini, Cooper and Hauskrecht 2015, "Obtaining well calibrated probabilities using Bayesian
    binning".
    """
    y, p = np.asarray(labels, np.float64), np.asarray(probabilities, np.float64)
    index = np.minimum((p * bins).astype(int), bins - 1)
    return float(np.abs(np.bincount(index, y - p, minlength=bins)).sum() / len(y))


def group_bootstrap(
    figure: Callable[[npt.NDArray[np.int64]], float],
    groups: Sequence[str],
    *,
    seed: int,
    resamples: int = 1_000,
    coverage: float = 0.95,
    distance: bool = False,
) -> tuple[float, float]:
    """Percentile interval of a figure when whole groups (people) are drawn with replacement.

    Parameters
    ----------
    figure : takes row indices (with repeats) and gives a number; NaN draws are left out
    groups : (n,) who stands behind each row
    distance : the figure is one that chance makes larger (``less_noise``)
    """
    values = [figure(rows) for rows in group_resamples(groups, seed=seed, resamples=resamples)]
    tail = (1 - coverage) / 2
    low, high = np.nanquantile(values, [tail, 1 - tail])
    if distance:
        value = figure(np.arange(len(groups)))
        return less_noise(low, high, value=value, mean_of_resamples=float(np.nanmean(values)))
    return float(low), float(high)


def less_noise(low: float, high: float, *, value: float, mean_of_resamples: float) -> tuple[float, float]:
    """A percentile interval of a distance, such as a calibration error, which chance makes larger.

    A resample has that chance twice: its mean excess over the figure itself is taken off, to 0 at least.
    Without this the figure can lie below its own interval.
    """
    excess = max(0.0, mean_of_resamples - value)
    return min(value, max(0.0, float(low) - excess)), max(value, float(high) - excess)


def wilson(share: float, n: float) -> tuple[float, float]:
    """95 % interval of a share of ``n`` independent trials (Wilson 1927)."""
    z = 1.96
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * float(np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)))
    return min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half))


def group_resamples(groups: npt.ArrayLike, *, seed: int, resamples: int) -> Iterator[npt.NDArray[np.int64]]:
    """The row indices of each draw of whole groups with replacement."""
    random = np.random.default_rng(seed)
    names, inverse = np.unique(np.asarray(groups), return_inverse=True)
    members, sizes = np.argsort(inverse, kind="stable"), np.bincount(inverse)
    first = np.cumsum(sizes) - sizes
    for _ in range(resamples):
        drawn = random.integers(len(names), size=len(names))
        counts = sizes[drawn]
        # Where each drawn group begins among the members, less where it begins among the drawn rows.
        shift = np.repeat(first[drawn] - (np.cumsum(counts) - counts), counts)
        yield members[np.arange(len(shift)) + shift]


def auprc(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Area under the precision-recall curve, as average precision; NaN without positives.

    By one sort, as scikit-learn defines it: ten times quicker, which the bootstrap needs.
    """
    s = np.asarray(scores, np.float64)
    order = np.argsort(-s, kind="stable")
    last_of_ties = np.append(np.flatnonzero(np.diff(s[order])), len(s) - 1)
    found = np.cumsum(np.asarray(labels)[order] == 1)[last_of_ties]
    if not found[-1]:
        return float("nan")
    return float(np.sum(np.diff(found, prepend=0) * found / (last_of_ties + 1)) / found[-1])


def precision_recall(labels: npt.ArrayLike, scores: npt.ArrayLike) -> list[tuple[float, float]]:
    """(sensitivity, positive predictive value) from the strictest threshold on, at most 200 points."""
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(np.asarray(labels), np.asarray(scores))
    chosen = np.unique(np.linspace(0, len(recall) - 1, 200).astype(int))[::-1]
    return [(float(recall[i]), float(precision[i])) for i in chosen]


def brier(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> float:
    """Mean squared distance of the probability from what was (Brier 1950)."""
    return float(np.mean(np.square(np.asarray(probabilities, np.float64) - np.asarray(labels, np.float64))))


def calibration_curve(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike, *, bins: int = 10
) -> list[tuple[float, float, int]]:
    """(mean probability, frequency, n) of each occupied equal-width bin."""
    y, p = np.asarray(labels, np.float64), np.asarray(probabilities, np.float64)
    index = np.minimum((p * bins).astype(int), bins - 1)
    return [
        (float(p[index == b].mean()), float(y[index == b].mean()), int((index == b).sum()))
        for b in np.unique(index)
    ]


def predictive_values(*, sensitivity: float, specificity: float, prevalence: float) -> tuple[float, float]:
    """(PPV, NPV) by Bayes' rule; NaN where nobody would be called so."""
    ppv, npv = odds.predictive_values(sensitivity, specificity, prevalence)
    return float("nan") if ppv is None else ppv, float("nan") if npv is None else npv


def net_benefit(labels: npt.ArrayLike, probabilities: npt.ArrayLike, *, threshold: float) -> float:
    """True positives a person, less false ones weighed by the odds of the threshold.

    Vickers and Elkin 2006, "Decision curve analysis".
    """
    y, called = np.asarray(labels) == 1, np.asarray(probabilities) >= threshold
    return float((called & y).mean() - (called & ~y).mean() * threshold / (1 - threshold))


def delong(labels: npt.ArrayLike, first: npt.ArrayLike, second: npt.ArrayLike) -> tuple[float, float]:
    """Difference of two AUROCs on the same rows, and its two-sided p-value.

    DeLong, DeLong and Clarke-Pearson 1988. Takes rows as independent: one a subject.
    """
    from scipy.stats import norm

    y = np.asarray(labels) == 1
    positive, negative = [], []
    for scores in (np.asarray(first, np.float64), np.asarray(second, np.float64)):
        x, z = scores[y], scores[~y]
        above_all, among_x, among_z = rankdata(np.concatenate([x, z])), rankdata(x), rankdata(z)
        positive.append((above_all[: len(x)] - among_x) / len(z))
        negative.append(1 - (above_all[len(x) :] - among_z) / len(x))
    difference = float(positive[0].mean() - positive[1].mean())
    variance = _difference_variance(positive) + _difference_variance(negative)
    if variance <= 1e-18:
        return difference, 1.0 if abs(difference) < 1e-12 else 0.0
    return difference, float(2 * norm.sf(abs(difference) / np.sqrt(variance)))


def _difference_variance(parts: list[Array]) -> float:
    covariance = np.cov(np.stack(parts))
    return float((covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]) / parts[0].size)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values that hold for all comparisons together (Holm 1979); NaN where there is none."""
    known = int(np.isfinite(p_values).sum())
    adjusted, highest = [float("nan")] * len(p_values), 0.0
    for rank, index in enumerate(np.argsort(p_values)[:known]):  # NaN is last
        highest = max(highest, min(1.0, (known - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted
