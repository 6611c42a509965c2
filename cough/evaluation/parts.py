"""How a score holds in parts of the data: sources and sites held out, late recordings, subgroups.

The sound's score is as it came; the comparators are fitted anew on everything outside the part. A part
is judged by itself: pooled over sources, a score that only knows the source would look good.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from cough.evaluation.comparators import Folds, comparators, source_folds, time_folds
from cough.evaluation.resampling import MIN_A_CLASS, SEED, auroc_interval

Float: TypeAlias = npt.NDArray[np.float64]

HELD_OUT = ("source", "site", "country")
"""Columns of which each value in turn is left out of the comparators' fit."""
SUBGROUPS = ("sex", "age_band", "channel", "device", "language", "band")
AGE_EDGES = (0, 18, 40, 60, 121)
"""In years; who is said to be older has no band."""
AGE_BANDS = ("0-17", "18-39", "40-59", "60 and over")
AT_MOST = 12
"""Subgroups listed of one column, the largest first: a corpus may name thousands of devices."""


def splits(rows: pd.DataFrame, y: Float, p: Float, who: npt.NDArray[Any]) -> list[dict[str, Any]]:
    """The score beside comparators that were fitted elsewhere; None where a part has too few subjects."""
    out = []
    for kind, names, folds in _kinds(rows, who):
        audio = [auroc_interval(y[test], p[test], who[test]) for _, test in folds]
        judged = [fold for fold, figure in zip(folds, audio, strict=True) if figure]
        beside = list(comparators(rows, y, judged, seed=SEED)) if judged else []
        for name, (_, test), figure in zip(names, folds, audio, strict=True):
            others: dict[str, Any] = {}
            for one in beside if figure else ():
                scored = test[np.isfinite(one.scores[test])]
                others[one.name] = auroc_interval(y[scored], one.scores[scored], who[scored])
            out.append(
                {"split": kind, "held_out": name, "n": len(test), "audio": figure, "comparators": others}
            )
    return out


def _kinds(rows: pd.DataFrame, who: npt.NDArray[Any]) -> Iterator[tuple[str, list[str], Folds]]:
    for column in HELD_OUT:
        if column in rows and rows[column].nunique() > 1:
            where = rows[column].fillna("").astype(str).replace("", "not stated").to_numpy()
            yield f"leave one {column} out", sorted(set(where)), source_folds(where, who)
    days = rows["date_days"].to_numpy(float) if "date_days" in rows else np.array([])
    if np.isfinite(days).sum() > 4 * MIN_A_CLASS:
        yield "trained early, tested late", ["the later half"], time_folds(days, who)


def subgroups(rows: pd.DataFrame, y: Float, p: Float, who: npt.NDArray[Any]) -> list[dict[str, Any]]:
    """AUROC among people who are alike in one thing; None where a class has too few subjects."""
    columns = {name: rows[name] for name in SUBGROUPS if name in rows}
    if "age" in rows:
        bands = pd.cut(rows["age"], AGE_EDGES, right=False, labels=AGE_BANDS)
        stated = bands.astype("string").fillna("")
        if (stated != "").any():
            columns["age_band"] = stated.where(stated != "", columns.get("age_band", stated))
    out = []
    for name, column in columns.items():
        words = column.replace("", np.nan).fillna("not stated").astype(str)
        largest = list(words.value_counts().index)
        for word in sorted(largest[:AT_MOST]):
            out.append(_subgroup(name, word, (words == word).to_numpy(), y, p, who))
        if rest := largest[AT_MOST:]:
            out.append(_subgroup(name, f"{len(rest)} more", words.isin(rest).to_numpy(), y, p, who))
    return out


def _subgroup(
    column: str, value: str, here: npt.NDArray[np.bool_], y: Float, p: Float, who: npt.NDArray[Any]
) -> dict[str, Any]:
    return {
        "column": column,
        "value": value,
        "n_positive": int(y[here].sum()),
        "n_negative": int((1 - y[here]).sum()),
        "auroc": auroc_interval(y[here], p[here], who[here]),
    }
