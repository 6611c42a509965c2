"""Columns of a manifest that nobody set beside the sound, and that tell the label by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from cough.evaluation.comparators import Folds, matchable
from cough.evaluation.metrics import auroc
from cough.evaluation.resampling import auroc_interval
from cough.evaluation.table import chosen_columns, columns_of
from cough.evaluation.values import DATES, measures
from cough.manifest import LABELS

Float: TypeAlias = npt.NDArray[np.float64]

BINS = 20
INDEX = ("", "Unnamed: 0")
"""What pandas calls the numbers of a table's lines."""
TELLS = 0.6
"""AUROC that the whole interval of a column lies above, if it is to be named."""
NAMES = frozenset(
    {
        *("recording_id", "path", "subject", "subject_id", "group_id", "original", "upstream", "pcm_sha256"),
        *("split", "fold", "in_two_splits", "sublabel", "asymptomatic", *DATES, *INDEX),
        *(column for columns in LABELS.values() for column in columns if column),
        *("status", "stated_status", "test_status", "status_SSL", "covid_tested", "covid_test_method"),
        *("covid_viral_load", "covid_ct_value", "Microbiologicreferencestandard"),
    }
)
"""Columns that name a recording, or a claim about it or its test, and so may well tell a label; dates are
beside it."""


def shortcuts(
    rows: pd.DataFrame, stated: Mapping[str, str], y: Float, who: npt.NDArray[Any], folds: Folds
) -> list[dict[str, Any]]:
    """``{column, auroc}`` of each, the strongest first.

    Parameters
    ----------
    stated : column of the manifest -> its name in ``rows``; those that are not there are left out
    y, who : (n,) label, subject
    """
    used = {c for group in matchable(rows) for c in columns_of(rows, group)}
    elsewhere = NAMES | chosen_columns(rows)
    found = []
    for column, name in stated.items():
        if column in elsewhere or _is_claim(column, rows) or name in used or name not in rows:
            continue
        words = _few(rows[name].astype("string").fillna("").str.strip())
        if not 2 <= words.nunique() <= len(words) / 2:
            continue
        scores = _out_of_fold(words, y, folds)
        if auroc(y, scores) > TELLS:
            figure = auroc_interval(y, scores, who)
            if figure and figure["low"] > TELLS:
                found.append({"column": column, "auroc": figure})
    return sorted(found, key=lambda one: -one["auroc"]["value"])


def _is_claim(column: str, rows: pd.DataFrame) -> bool:
    """Whether it is ``<condition>_status`` or ``<condition>_evidence`` of a condition of the predictions."""
    condition, _, kind = column.rpartition("_")
    return kind in ("status", "evidence") and f"{condition}_probability" in rows


def _few(words: pd.Series) -> pd.Series:
    """Words that recur: numbers and dates that hardly do by their rank, other words by how they begin."""
    if words.nunique() <= len(words) / 2:
        return words
    values = measures(words.replace("", pd.NA))
    if values is not None:
        ranks = pd.qcut(values, BINS, labels=False, duplicates="drop")
        return ranks.astype("string").fillna("")
    return words.str.extract(r"^([^\d]*)")[0].fillna("")


def _out_of_fold(words: pd.Series, y: Float, folds: Folds) -> Float:
    """(n,) share of positives among other people of the same word, one more at the base rate added."""
    scores = np.empty(len(y))
    for train, test in folds:
        base = y[train].mean()
        told = pd.Series(y[train]).groupby(words.to_numpy()[train]).agg(["sum", "count"])
        rate = (told["sum"] + base) / (told["count"] + 1)
        scores[test] = words.iloc[test].map(rate).fillna(base)
    return scores
