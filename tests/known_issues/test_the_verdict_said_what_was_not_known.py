"""A column that is the same for everybody was called absent; pairs that nobody could form were no objection;
a leak among few people was only "too few"; a score that nobody had checked for leaks passed in silence. A
score beside which nothing stood was told to be better than each comparator that could be tried.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from cough.evaluation.table import same_or_unknown
from cough.evaluation.verdict import judge


def condition(**changes: Any) -> dict[str, Any]:
    figure, gap = {"value": 0.9, "low": 0.85, "high": 0.95}, {"value": 0.4, "low": 0.3, "high": 0.5}
    levels = {"value": 0.5, "low": 0.4, "high": 0.6}
    return {
        "audio": {"auroc": figure},
        "n_positive": 50,
        "n_negative": 50,
        "n_subjects_positive": 50,
        "n_subjects_negative": 50,
        "comparators": [
            {"name": "levels", "auroc": levels, "audio_minus_this": gap, "p_audio_adds_holm": 0.001}
        ],
        "matched": [{"method": "exact", "n_pairs": 40, "on": ["source"], "auroc": figure, "balance": []}],
        "absent": [],
        "constant": [],
        "not_beside": [],
        "leaks": [],
        "in_two_splits": [],
        "leaks_looked_for": {"people": True, "sounds": True},
        "n_other_sounds": 0,
        "unused_labels": {},
        "classes": [],
        "n_labelled": 100,
        "n_measured": 100,
        "n_without_prediction": 0,
        "n_unknown_subjects": 0,
        "not_measured": {"positive": 0.0, "negative": 0.0, "selects": False},
        "compared": None,
        **changes,
    }


UNMATCHED = [{"method": "exact", "n_pairs": 2, "on": ["source"], "auroc": None, "balance": []}]


@pytest.mark.parametrize(
    ("changes", "level", "said"),
    [
        ({}, "beyond_comparators", "0.90"),
        ({"constant": ["source"]}, "beyond_comparators", "The same for every recording here: source."),
        ({"matched": UNMATCHED}, "not_beyond", "too few pairs"),
        ({"leaks": ["p"], "n_subjects_positive": 6}, "leak", "1 subjects stand in the training"),
        ({"comparators": []}, "not_compared", "Neither levels nor anything else"),
        ({"comparators": [], "matched": []}, "not_compared", "Neither levels nor anything else"),
        ({"leaks_looked_for": {"people": False, "sounds": False}}, "beyond_comparators", "is not known."),
        ({"leaks_looked_for": {"people": False, "sounds": True}}, "beyond_comparators", "on these files"),
        ({"absent": ["levels"]}, "not_compared", "The predictions do not hold the levels"),
        ({"n_unknown_subjects": 40}, "subjects_unknown", "nobody knows who is heard"),
        (
            {"not_measured": {"positive": 0.8, "negative": 0.0, "selects": True}},
            "not_beyond",
            "Not measured were 80% of the positive",
        ),
        (
            {"compared": {"n_in_training": 7, "not_measured": {"selects": False}}},
            "beyond_comparators",
            "The other model was trained on 7",
        ),
    ],
)
def test_the_verdict(changes: dict[str, Any], level: str, said: str) -> None:
    verdict = judge(condition(**changes))
    assert verdict.level == level
    assert any(said in sentence for sentence in verdict.sentences)


def test_the_same_for_everybody_is_not_absent() -> None:
    frame = pd.DataFrame({"source": ["a", "a"], "country": ["x", ""], "sex": ["", ""]})
    assert same_or_unknown(frame, "source") == (["source"], [])
    for group in ("place", "age and sex", "date"):
        assert same_or_unknown(frame, group) == ([], [group])
