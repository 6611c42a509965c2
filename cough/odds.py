"""Log-odds and Bayes' rule, and what may stand for a probability or an interval in a file."""

from __future__ import annotations

import math
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, Field

Probability: TypeAlias = Annotated[float, Field(ge=0, le=1)]


def _in_order(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError("the lower end of an interval is above the upper")
    return bounds


Interval: TypeAlias = Annotated[tuple[float, float], AfterValidator(_in_order)]
"""Its lower and its upper end."""


def predictive_values(
    sensitivity: float, specificity: float, prevalence: float
) -> tuple[float | None, float | None]:
    """Positive and negative predictive value by Bayes' rule; None where nobody would be called so."""
    true, false = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    spared, missed = specificity * (1 - prevalence), (1 - sensitivity) * prevalence
    return (
        true / (true + false) if true + false else None,
        spared / (spared + missed) if spared + missed else None,
    )


def predictive_ranges(
    sensitivity_95: Interval | None, specificity_95: Interval | None, prevalence: float
) -> tuple[Interval | None, Interval | None]:
    """``predictive_values`` with both measures at the lower, and at the upper ends of their 95 % intervals.

    Both values rise with both measures, which are of different people: nine times in ten or more the true
    ones are between. None where an interval was not taken, or an end calls nobody so.
    """
    if sensitivity_95 is None or specificity_95 is None:
        return None, None
    low, high = (
        predictive_values(a, b, prevalence) for a, b in zip(sensitivity_95, specificity_95, strict=True)
    )
    positive, negative = (
        # Equal ends may come out in the wrong order by a rounding.
        None if a is None or b is None else (min(a, b), max(a, b))
        for a, b in zip(low, high, strict=True)
    )
    return positive, negative


def log_odds_of(probability: float) -> float:
    """Of a probability, kept finite at 0 and 1."""
    p = min(max(probability, 1e-9), 1 - 1e-9)
    return math.log(p / (1 - p))


def probability_of(log_odds: float) -> float:
    """Of any log-odds, however far out."""
    if log_odds >= 0:
        return 1 / (1 + math.exp(-log_odds))
    odds = math.exp(log_odds)
    return odds / (1 + odds)
