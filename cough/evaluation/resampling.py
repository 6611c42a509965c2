"""Intervals over subjects, and how few are too few for one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from cough.evaluation.metrics import (
    auroc,
    delong,
    group_bootstrap,
    group_resamples,
    less_noise,
    wilson,
)

Float: TypeAlias = npt.NDArray[np.float64]
Figure: TypeAlias = dict[str, float]

SEED = 20_201
RESAMPLES = 500
CALIBRATION_ERROR = "expected_calibration_error"
"""The name of the figure whose interval is freed of noise (``less_noise``)."""
MIN_A_CLASS = 5
"""A figure needs so many subjects of each class."""


def interval(figure: Callable[[npt.NDArray[np.int64]], float], subjects: npt.NDArray[Any]) -> Figure:
    """{value, low, high} of a figure of row indices, subjects resampled."""
    value = figure(np.arange(len(subjects)))
    if not np.isfinite(value):
        return {"value": float("nan"), "low": float("nan"), "high": float("nan")}
    low, high = group_bootstrap(figure, list(subjects), seed=SEED, resamples=RESAMPLES)
    return {"value": float(value), "low": low, "high": high}


def intervals(
    figures: Callable[[npt.NDArray[np.int64]], Mapping[str, float]],
    subjects: npt.NDArray[Any],
    *,
    shares: Mapping[str, npt.NDArray[Any]] | None = None,
) -> dict[str, Figure]:
    """``interval`` of many figures of the same row indices, all on the same resamples.

    Parameters
    ----------
    shares : of figures that are shares of rows, (n,) of 0 and 1, among which; of areas under curves, the
        ``rarer_class``: see ``unanimous``
    """
    values = figures(np.arange(len(subjects)))
    nothing = dict.fromkeys(("value", "low", "high"), float("nan"))
    finite = [name for name, value in values.items() if np.isfinite(value)]
    if not finite:
        return dict.fromkeys(values, nothing)
    drawn = [
        [found[name] for name in finite]
        for found in map(figures, group_resamples(subjects, seed=SEED, resamples=RESAMPLES))
    ]
    low, high = np.nanquantile(np.array(drawn), [0.025, 0.975], axis=0)
    mean = np.nanmean(np.array(drawn), axis=0)
    known = {}
    for i, name in enumerate(finite):
        value, bounds = float(values[name]), (float(low[i]), float(high[i]))
        if name == CALIBRATION_ERROR:
            bounds = less_noise(*bounds, value=value, mean_of_resamples=float(mean[i]))
        if shares and name in shares:
            bounds = unanimous(*bounds, n=len(set(subjects[np.asarray(shares[name], bool)])))
        known[name] = {"value": value, "low": bounds[0], "high": bounds[1]}
    return {name: known.get(name, nothing) for name in values}


def unanimous(low: float, high: float, *, n: int) -> tuple[float, float]:
    """The interval of a share, which is no point where all ``n`` subjects agree.

    Resampling those that agree finds no one who differs, however few they are; the next one may. Then it is
    Wilson's interval for so many trials.
    """
    return (low, high) if low < high or low not in (0.0, 1.0) else wilson(low, n)


def rarer_class(y: Float, subjects: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """(n,) the rows of the class with fewer subjects: where all pairs are in order, so many have agreed."""
    people = [len(set(subjects[y == k])) for k in (0, 1)]
    return np.asarray(y == int(people[1] < people[0]))


def difference(this: Figure, other: Figure, resampled: Figure) -> Figure:
    """``this`` less ``other``, no surer than they are where one of them is unanimous.

    By the square-and-add rule for independent figures (Newcombe 1998, "Interval estimation for the
    difference between independent proportions", method 10), which is wide for two scores of the same rows.
    """
    if not {this["value"], other["value"]} & {0.0, 1.0}:
        return resampled
    value = this["value"] - other["value"]
    below = np.hypot(this["value"] - this["low"], other["high"] - other["value"])
    above = np.hypot(this["high"] - this["value"], other["value"] - other["low"])
    low, high = min(resampled["low"], value - below), max(resampled["high"], value + above)
    return {"value": value, "low": float(low), "high": float(high)}


def share(of: npt.NDArray[Any], among: npt.NDArray[Any]) -> float:
    """Sum of ``of`` over that of ``among``; NaN where there is none among."""
    total = float(among.sum())
    return float(of.sum()) / total if total else float("nan")


def rates(
    parts: Mapping[str, tuple[npt.NDArray[Any], npt.NDArray[Any]]], subjects: npt.NDArray[Any]
) -> dict[str, Figure | None]:
    """The share of one kind of rows among another; None where those are of too few subjects.

    Parameters
    ----------
    parts : name -> (n,) of 0 and 1, what is counted; (n,) of 0 and 1, among which
    """
    among = np.stack([a for _, a in parts.values()], axis=1).astype(float)
    of = np.stack([o for o, _ in parts.values()], axis=1) * among

    def figures(rows: npt.NDArray[np.int64]) -> dict[str, float]:
        times = np.bincount(rows, minlength=len(of)).astype(float)
        n = times @ among
        values = np.divide(times @ of, n, out=np.full(len(n), np.nan), where=n > 0)
        return dict(zip(parts, values.tolist(), strict=True))

    found = intervals(figures, subjects, shares={name: a for name, (_, a) in parts.items()})
    return {name: found[name] if enough(subjects[a == 1]) else None for name, (_, a) in parts.items()}


def enough(subjects: npt.NDArray[Any]) -> bool:
    """Whether these rows are of subjects enough for a figure."""
    return len(set(subjects)) >= MIN_A_CLASS


def auroc_interval(y: Float, s: Float, subjects: npt.NDArray[Any]) -> Figure | None:
    """None where a class has too few subjects to say.

    Where every pair is in order, the interval is that of a share of the rarer class's subjects
    (``unanimous``).
    """
    people = [len(set(subjects[y == k])) for k in (0, 1)]
    if min(people) < MIN_A_CLASS:
        return None
    found = interval(lambda rows: auroc(y[rows], s[rows]), subjects)
    found["low"], found["high"] = unanimous(found["low"], found["high"], n=min(people))
    return found


def set_against(y: Float, this: Float, other: Float, subjects: npt.NDArray[Any]) -> dict[str, Figure]:
    """The AUROC of two scores of the same rows, and ``this_minus_other``."""

    def figures(rows: npt.NDArray[np.int64]) -> dict[str, float]:
        one, two = auroc(y[rows], this[rows]), auroc(y[rows], other[rows])
        return {"this": one, "other": two, "this_minus_other": one - two}

    shares = dict.fromkeys(("this", "other"), rarer_class(y, subjects))
    found = intervals(figures, subjects, shares=shares)
    less = difference(found["this"], found["other"], found["this_minus_other"])
    return {**found, "this_minus_other": less}


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
        **set_against(yy, pp, ss, ww),
        "p_delong": delong(yy, pp, ss)[1] if alone else None,
    }
