"""Log-odds and Bayes' rule."""

from __future__ import annotations

import math


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


def probability_of(log_odds: float) -> float:
    """Of any log-odds, however far out."""
    if log_odds >= 0:
        return 1 / (1 + math.exp(-log_odds))
    odds = math.exp(log_odds)
    return odds / (1 + odds)
