"""What ``training.report`` measured, as tables for its own page and for the model card."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from training.benchmark import RESULTS as GATE_RESULTS
from training.benchmark import table

RESULTS = GATE_RESULTS.parent / "diagnosis"
REPORT = RESULTS / "report.json"
TITLES = {
    "levels": "six level statistics alone",
    "background": "spectrum between the coughs (channel, room)",
    "mediator": "mediator of the voters",
    "mn04": "EfficientAT mn04 embedding of the whole recording, ridge-logistic",
}
COLUMNS = {
    "auroc": "AUROC",
    "margin_over_levels": "minus levels",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "expected_calibration_error": "ECE",
    "level_matched_auroc": "AUROC, level-matched",
    "verified_auroc": "AUROC, verified",
}
PARTS = {"out_of_fold": "Out of fold, training folds", "test": "Test fold"}


def blocks(facts: dict[str, Any], *, heading: str) -> Iterator[str]:
    """Paragraphs and tables of the honest table.

    Parameters
    ----------
    facts : contents of ``report.json``
    heading : the marks before the titles of its two parts
    """
    for name, title in PARTS.items():
        part = facts[name]
        evidence = "; ".join(f"{kind}: {count}" for kind, count in part["by_evidence"].items())
        yield f"{heading} {title}"
        yield (
            f"{part['recordings']} recordings, {part['not_of_the_first_class']} positive, {part['groups']} "
            f"groups ({evidence}); {part['level_matched_pairs']} level-matched pairs."
        )
        yield table(
            ["", *COLUMNS.values()],
            [
                [TITLES.get(key, key), *(_cell(row, figure, scorer=key) for figure in COLUMNS)]
                for key, row in part["scorers"].items()
            ],
        )
    said = facts["test"]["mediator"]

    def share(name: str) -> str:
        return f"{said[name]:.1%} ({_range(said[f'{name}_95'])})"

    answers = said["accuracy_of_those_answers"]
    yield (
        f"On the test fold the sets held the truth in {share('coverage_of_sets')}. By sets and unanimity "
        f"alone the mediator would abstain on {share('abstains_without_the_rule_of_evidence')}"
        + ("" if answers is None else f" and be right in {share('accuracy_of_those_answers')} of its answers")
        + f"; as shipped it abstains on {said['abstains_as_shipped']:.0%}."
    )
    yield (
        "Sensitivity and specificity: of a call at a probability of one half, for a set in which most are "
        "positive. Verified: positives by PCR, as the corpus states it, against the same negatives. "
        "Out of fold, what turns scores into probabilities was fitted to the same recordings: AUROC does not "
        "depend on it, sensitivity, specificity and ECE do, and are kind. "
        f"Intervals: 95 %, by groups. What was used: {facts['used']}"
    )


def _cell(row: dict[str, Any], figure: str, *, scorer: str) -> str:
    if figure == "margin_over_levels":
        return "-" if scorer == "levels" else _range(row["margin_over_levels_95"])
    if row[figure] is None:  # no pair alike in levels, or a class without one
        return "too few"
    return f"{row[figure]:.3f} ({_range(row[f'{figure}_95'])})"


def _range(interval: list[float]) -> str:
    return f"{interval[0]:.3f} to {interval[1]:.3f}"
