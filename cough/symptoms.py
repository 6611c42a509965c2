"""What the person says, and what that alone tells: an additive model that lists each answer's share.

A left-out answer adds nothing: every contribution is measured from the average person of the
training table, so nobody is judged by what was not asked. Dates and places are no features.
The answer stands beside that of the sound and never decides a screening's outcome: there is no set of
people here on whom sound and symptoms could be judged together.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cough.odds import (
    Interval,
    Probability,
    log_odds_of,
    predictive_ranges,
    predictive_values,
    probability_of,
)


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SymptomAnswers(_Model):
    """Left out means not asked, which is not the same as no."""

    age: int | None = Field(default=None, ge=0, le=120)
    """Years."""
    sex: Literal["female", "male", "other"] | None = None
    fever: bool | None = None
    cough: bool | None = None
    sore_throat: bool | None = None
    fatigue: bool | None = None
    loss_of_smell: bool | None = None
    muscle_pain: bool | None = None
    diarrhoea: bool | None = None
    breathing_difficulty: bool | None = None
    cold: bool | None = None
    asthma: bool | None = None
    other_lung_disease: bool | None = None

    def values(self) -> dict[str, float]:
        """Answered features as numbers: age in decades, sex 1 for male, yes 1 and no 0."""
        out = {
            name: float(answer)
            for name, answer in self.model_dump(exclude={"age", "sex"}, exclude_none=True).items()
        }
        if self.age is not None:
            out["age"] = self.age / 10
        if self.sex in ("male", "female"):
            out["sex"] = float(self.sex == "male")
        return out


class SymptomEvidence(_Model):
    """What was measured, out of fold, on people whose answers the model did not see."""

    test_set: str
    n_people: int
    n_positive: int
    auroc: Probability
    auroc_95: Interval
    sensitivity: Probability
    """At a probability of one half, of people who answered the whole list."""
    sensitivity_95: Interval | None = None
    specificity: Probability
    specificity_95: Interval | None = None
    expected_calibration_error: float
    """Of people who answered everything."""
    expected_calibration_error_95: Interval | None = None
    partly_answered_calibration_error: float | None = None
    """The same where a random part of the answers is left out."""
    elsewhere: str
    """How far it went on another corpus."""
    caveat: str


class SymptomSpec(_Model):
    """log-odds = intercept + sum over answered features of weight x (value - average)."""

    intercept: float
    """Log-odds of the average person."""
    weights: dict[str, float]
    """Per yes, per decade of age, for male."""
    averages: dict[str, float]
    trained_on: str
    base_rate: float = Field(gt=0, lt=1)
    """Share of positives in training; a caller's prevalence takes its place."""
    evidence: SymptomEvidence

    @model_validator(mode="after")
    def _knows_the_average(self) -> SymptomSpec:
        if missing := set(self.weights) - set(self.averages):
            raise ValueError(f"averages lack {', '.join(sorted(missing))}")
        if unknown := set(self.weights) - set(SymptomAnswers.model_fields):
            raise ValueError(f"nobody is asked about {', '.join(sorted(unknown))}")
        return self


class SymptomAnswer(_Model):
    """What the answers alone say about one condition."""

    probability: float
    """At the caller's prevalence, else at the training table's."""
    prevalence: float
    baseline: float
    """Log-odds at this prevalence before any answer. With all contributions it makes the log-odds of
    ``probability``."""
    contributions: dict[str, float]
    """Log-odds that each answer added, largest first; what was not answered is not here."""
    called: bool
    """Whether these answers make the call that the evidence's sensitivity and specificity are of: a
    probability of one half or more at the training table's own share of positives."""
    positive_predictive_value: float | None
    """Of people called so, the share who have the condition at this prevalence. None unless the whole list of
    yes and no was answered, which sensitivity and specificity are of, and where nobody would be called so."""
    positive_predictive_range: Interval | None = None
    """What the people it was tested on leave open: see ``cough.odds.predictive_ranges``."""
    negative_predictive_value: float | None
    """The same of people not called so, and the share who do not have it."""
    negative_predictive_range: Interval | None = None
    evidence: SymptomEvidence


def answer(
    spec: SymptomSpec, answers: SymptomAnswers, *, prevalence: float | None = None
) -> SymptomAnswer | None:
    """What the answers say; None where nothing was answered.

    Parameters
    ----------
    prevalence : share of people like this one who have the condition, between 0 and 1

    Raises
    ------
    ValueError : prevalence is not between 0 and 1
    """
    if prevalence is not None and not 0 < prevalence < 1:
        raise ValueError("prevalence must be between 0 and 1")
    added = {
        name: spec.weights[name] * (value - spec.averages[name])
        for name, value in answers.values().items()
        if name in spec.weights
    }
    if not added:
        return None
    rate = spec.base_rate if prevalence is None else prevalence
    in_training = spec.intercept + sum(added.values())
    shift = log_odds_of(rate) - log_odds_of(spec.base_rate)
    e = spec.evidence
    positive, negative = None, None
    ranges: tuple[Interval | None, Interval | None] = None, None
    if set(spec.weights) - {"age", "sex"} <= set(added):
        positive, negative = predictive_values(e.sensitivity, e.specificity, rate)
        ranges = predictive_ranges(e.sensitivity_95, e.specificity_95, rate)
    return SymptomAnswer(
        probability=probability_of(in_training + shift),
        prevalence=rate,
        baseline=spec.intercept + shift,
        called=in_training >= 0,
        contributions=dict(sorted(added.items(), key=lambda item: -abs(item[1]))),
        positive_predictive_value=positive,
        positive_predictive_range=ranges[0],
        negative_predictive_value=negative,
        negative_predictive_range=ranges[1],
        evidence=e,
    )
