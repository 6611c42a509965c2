"""The honest table: every figure with its interval, on constructed scores whose worth is known."""

from __future__ import annotations

import numpy as np
import pytest

from cough.bundle import Bundle
from tests.training.test_condition import CONFIG, made
from training.diagnosis import Condition, train_condition
from training.honest_table import COLUMNS, blocks
from training.report import abstention, evidence_counts, line, verified_rows


@pytest.fixture(scope="module")
def condition(bundle: Bundle) -> Condition:
    return train_condition(CONFIG, made(signal=1.0, level_signal=0.0, bundle=bundle), bundle)


def evidence_of(condition: Condition) -> dict[str, str]:
    """Every other recording verified, the rest self-reported."""
    return {
        name: ("pcr_lab_verified", "self_report")[i % 2] for i, name in enumerate(condition.test.data.ids)
    }


def test_every_figure_lies_in_its_interval(condition: Condition) -> None:
    judged = condition.test
    every = np.arange(len(judged.data))
    row = line(judged, judged.mediator, every[:40], every)
    assert row["auroc"] == row["verified_auroc"] > 0.9
    assert row["margin_over_levels"] > 0.25
    for name in COLUMNS:
        low, high = row[f"{name}_95"]
        assert low <= row[name] <= high, name


def test_abstention_and_accuracy_have_intervals(condition: Condition) -> None:
    said = abstention(condition.test, condition.spec)
    for name in ("coverage_of_sets", "abstains_without_the_rule_of_evidence", "accuracy_of_those_answers"):
        low, high = said[f"{name}_95"]
        assert low <= said[name] <= high


def test_only_positives_are_asked_to_be_verified(condition: Condition) -> None:
    data, known = condition.test.data, evidence_of(condition)
    rows = verified_rows(known, data)
    assert set(np.flatnonzero(data.labels == 0)) <= set(rows)
    assert all(row % 2 == 0 for row in rows if data.labels[row] == 1)
    counts = evidence_counts(known, data, ("no", "yes"))
    assert sum(counts.values()) == len(data)
    assert counts["yes, pcr_lab_verified"] == int(data.labels[::2].sum())


def test_the_page_shows_each_scorer_with_intervals(condition: Condition) -> None:
    judged, every = condition.test, np.arange(len(condition.test.data))
    scorers = {
        name: line(judged, p, every, every)
        for name, p in (("levels", np.exp(judged.levels)), ("mediator", judged.mediator))
    }
    part = {
        "recordings": len(every), "not_of_the_first_class": 3, "groups": 9, "level_matched_pairs": 4,
        "by_evidence": {"yes, pcr_lab_verified": 3}, "scorers": scorers,
    }  # fmt: skip
    test = part | {"mediator": abstention(judged, condition.spec)}
    page = "\n\n".join(blocks({"out_of_fold": part, "test": test, "used": "made-up rows"}, heading="##"))
    assert "| mediator of the voters | 0." in page
    assert "yes, pcr_lab_verified: 3" in page
    assert "What was used: made-up rows" in page
