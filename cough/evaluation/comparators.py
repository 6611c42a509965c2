"""What no audio at all, or no more than its level, would have scored on the same rows.

Each comparator is the better of a logistic regression and a forest, fitted on other subjects (or
sources, or earlier dates) than those it scores. A box that is ticked or blank is an answer either way
(``table.answers``). Other blanks are filled with the training median or make a word of their own only in
``missing answers``, which asks nothing but which cells are blank.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from cough.evaluation.metrics import auroc
from cough.evaluation.table import GROUPS, chosen_groups, columns_of, features
from cough.evaluation.verdict import MISSING, TOGETHER

Float = npt.NDArray[np.float64]
Folds = list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]
"""(train rows, test rows) of each fold."""
N_FOLDS = 5


@dataclass(frozen=True)
class Comparator:
    """Scores of something that heard no cough."""

    name: str
    columns: tuple[str, ...]
    scores: Float
    """(n,) probabilities out of fold; NaN where no fold scored a row."""


def matchable(frame: pd.DataFrame) -> tuple[str, ...]:
    """What people can be alike in: levels and every group of columns, here or not."""
    return tuple(dict.fromkeys(("levels", *GROUPS, *chosen_groups(frame))))


def subject_folds(labels: Float, subjects: npt.ArrayLike, *, seed: int) -> Folds:
    """Folds that never split a subject; fewer than five where a class has fewer subjects."""
    groups = np.asarray(subjects)
    rarest = min(len(set(groups[labels == k])) for k in (0, 1))
    n = max(2, min(N_FOLDS, rarest))
    split = StratifiedGroupKFold(n, shuffle=True, random_state=seed)
    return [(train, test) for train, test in split.split(labels, labels, groups)]


def source_folds(sources: npt.ArrayLike, subjects: npt.ArrayLike) -> Folds:
    """Each source scored by a fit on the others, without anybody who is in both."""
    where, who = np.asarray(sources), np.asarray(subjects)
    folds = []
    for name in sorted(set(where)):
        test = np.flatnonzero(where == name)
        train = np.flatnonzero((where != name) & ~np.isin(who, who[test]))
        folds.append((train, test))
    return folds


def time_folds(days: Float, subjects: npt.ArrayLike) -> Folds:
    """The later half scored by a fit on the earlier, without anybody who is in both."""
    who, dated = np.asarray(subjects), np.isfinite(days)
    late = dated & (days > np.median(days[dated]))
    test = np.flatnonzero(late)
    return [(np.flatnonzero(dated & ~late & ~np.isin(who, who[test])), test)]


def comparators(
    frame: pd.DataFrame, labels: Float, folds: Folds, *, seed: int, names: tuple[str, ...] = ()
) -> Iterator[Comparator]:
    """Every comparator of these names whose columns are here, and, of several, all of them together.

    Parameters
    ----------
    frame : as ``table.join`` makes it, boxes that were left blank answered (``table.answers``)
    names : empty: every one, and ``MISSING``
    """
    found = []
    for name in names or (*matchable(frame), MISSING):
        table = _blanks(frame) if name == MISSING else features(frame, name)
        if table is not None:
            yield Comparator(name, tuple(table.columns), out_of_fold(table, labels, folds, seed=seed))
            if name != MISSING:
                found.append(table)
    if len(found) > 1:
        table = pd.concat(found, axis=1)
        yield Comparator(TOGETHER, tuple(table.columns), out_of_fold(table, labels, folds, seed=seed))


def out_of_fold(table: pd.DataFrame, labels: Float, folds: Folds, *, seed: int) -> Float:
    """(n,) probabilities from the better of two models, each fitted without the fold it scores."""
    scored = [_cross(table, labels, folds, kind, seed) for kind in ("logistic", "forest")]
    judged = np.isfinite(scored[0]) & np.isfinite(scored[1])
    return max(scored, key=lambda s: np.nan_to_num(auroc(labels[judged], s[judged]), nan=0.0))


def _blanks(frame: pd.DataFrame) -> pd.DataFrame | None:
    asked = [c for name in matchable(frame) if name != "levels" for c in columns_of(frame, name)]
    blank = frame[asked].replace("", np.nan).isna().astype(float)
    blank = blank[[c for c in blank if blank[c].nunique() > 1]]
    return blank if len(blank.columns) else None


def _cross(table: pd.DataFrame, labels: Float, folds: Folds, kind: str, seed: int) -> Float:
    scores = np.full(len(labels), np.nan)
    for train, test in folds:
        if len(set(labels[train])) < 2:
            continue
        model = _model(table, kind, seed).fit(table.iloc[train], labels[train])
        scores[test] = model.predict_proba(table.iloc[test])[:, 1]
    return scores


def _model(table: pd.DataFrame, kind: str, seed: int) -> Pipeline:
    numeric = [c for c in table if pd.api.types.is_numeric_dtype(table[c])]
    words = [c for c in table if c not in numeric]
    fill = SimpleImputer(strategy="median", keep_empty_features=True)
    prepare = ColumnTransformer(
        [
            ("numbers", make_pipeline(fill, StandardScaler()), numeric),
            (
                "words",
                make_pipeline(
                    SimpleImputer(strategy="most_frequent", keep_empty_features=True),
                    OneHotEncoder(handle_unknown="ignore", min_frequency=5),
                ),
                words,
            ),
        ]
    )
    if kind == "forest":
        return make_pipeline(prepare, RandomForestClassifier(100, min_samples_leaf=10, random_state=seed))
    return make_pipeline(prepare, LogisticRegression(C=1.0, max_iter=2_000))
