"""Intervals over subjects, and how few are too few for one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from cough.evaluation.metrics import auroc, delong, group_bootstrap

Float: TypeAlias = npt.NDArray[np.float64]
Figure: TypeAlias = dict[str, float]

SEED = 20_201
RESAMPLES = 500
MIN_A_CLASS = 5
"""A figure needs so many subjects of each class."""


def interval(figure: Callable[[npt.NDArray[np.int64]], float], subjects: npt.NDArray[Any]) -> Figure:
    """{value, low, high} of a figure of row indices, subjects resampled."""
    value = figure(np.arange(len(subjects)))
    if not np.isfinite(value):
        return {"value": float("nan"), "low": float("nan"), "high": float("nan")}
    low, high = group_bootstrap(figure, list(subjects), seed=SEED, resamples=RESAMPLES)
    return {"value": float(value), "low": low, "high": high}


def auroc_interval(y: Float, s: Float, subjects: npt.NDArray[Any]) -> Figure | None:
    """None where a class has too few subjects to say."""
    if any(len(set(subjects[y == k])) < MIN_A_CLASS for k in (0, 1)):
        return None
    return interval(lambda rows: auroc(y[rows], s[rows]), subjects)


def compare(y: Float, this: Float, other: Float, who: npt.NDArray[Any]) -> dict[str, Any]:
    """Two scores of the same rows, where both have one; only ``n`` where those are too few to judge."""
    both = np.isfinite(this) & np.isfinite(other)
    yy, pp, ss, ww = y[both], this[both], other[both], who[both]
    n = int(both.sum())
    if auroc_interval(yy, ss, ww) is None:
        return {"n": n, "judged": False}
    alone = len(set(ww)) == len(ww)
    return {
        "n": n,
        "judged": True,
        "this": interval(lambda r: auroc(yy[r], pp[r]), ww),
        "other": interval(lambda r: auroc(yy[r], ss[r]), ww),
        "this_minus_other": interval(lambda r: auroc(yy[r], pp[r]) - auroc(yy[r], ss[r]), ww),
        "p_delong": delong(yy, pp, ss)[1] if alone else None,
    }
