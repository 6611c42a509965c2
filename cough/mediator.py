"""The rules by which opinions become an answer; all of them are here.

1. The voters' calibrated probabilities are pooled (the mean of their log-probabilities) and calibrated
   again: ``probability``. What each said stays in the answer.
2. The pool gives a set: every class whose nonconformity, 1 - its probability, is within that class's
   split-conformal quantile (Vovk 2012, "Conditional validity of inductive conformal predictors"). Over
   recordings exchangeable with those of its calibration the set holds the truth at least as often as its
   coverage says; sounds that the encoder learnt from are not wholly that, so it is measured on others, too.
3. There is an answer only if the set holds one class, all voters name that class (the mediator of
   AI4COVID-19, Imran et al. 2020), the recording is of a bandwidth that was judged, the models are those that
   the set was calibrated with, and in evaluation the sound told more than levels do. Otherwise it abstains
   and says why.
4. Several recordings of one person: the union of their sets, which holds the truth at least as often as
   one of them does; recordings outside the domain do not count where others are inside. Every voter of each
   must name the class of the union, and no set may be empty. Recordings that each name another class
   disagree, and the person is asked to repeat (COVID-19 Sounds).
5. Symptoms stand beside the sound. ``fused`` adds both log-odds as if they were independent given the
   status, which nobody could measure here; a sound that did not beat levels adds nothing to it. It never
   decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from cough.bundle import ABSTAIN, ConditionSpec, Evidence, MediatorSpec
from cough.odds import Interval, log_odds_of, predictive_ranges, probability_of
from cough.odds import predictive_values as bayes
from cough.symptoms import SymptomAnswer

Float64: TypeAlias = npt.NDArray[np.float64]
Band: TypeAlias = Literal["telephone", "wide"]
Abstention: TypeAlias = Literal[
    "uncertain",
    "unlike_any_class",
    "voters_disagree",
    "recordings_disagree",
    "outside_domain",
    "models_changed",
    "insufficient_evidence",
]
ASSUMPTION = (
    "Sound and answers taken as independent given the status; no people were known here on whom both "
    "could be judged together."
)

WHY: dict[Abstention, str] = {
    "uncertain": "More than one answer is still possible at the stated coverage.",
    "unlike_any_class": "The recording is unlike those of any answer.",
    "voters_disagree": "The models do not name the same answer.",
    "recordings_disagree": "The recordings of this person name different answers; record again.",
    "outside_domain": "This kind of recording is not among those the model was judged on.",
    "models_changed": "The models are not those with which the set and the evidence were measured.",
    "insufficient_evidence": "In evaluation the cough was not shown to tell more than how loud, long and "
    "bright the recording is.",
}


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class VoterAnswer(_Answer):
    """What one model said, before any abstention."""

    name: str
    probabilities: dict[str, float]
    """By class; they add up to 1."""
    evidence: Evidence | None


class PredictiveValues(_Answer):
    """Of a call at one half, at the caller's prevalence, by the evidence's sensitivity and specificity."""

    prevalence: float
    positive: float | None
    """None where nobody would be called so."""
    positive_range: Interval | None = None
    """What the test people, who were few, leave open: see ``cough.odds.predictive_ranges``."""
    negative: float | None
    negative_range: Interval | None = None


class FusedAnswer(_Answer):
    """Sound and symptoms together; never what decides."""

    probability: float
    """Of not being of the first class, at ``prevalence``."""
    prevalence: float
    sound_counts: bool
    """False where the sound did not beat levels in evaluation: then this is what the symptoms say."""
    assumes: str


class ConditionAnswer(_Answer):
    """What the sound says about one condition, beside what it is worth."""

    name: str
    title: str
    answer: str
    """One of the classes, or ``inconclusive``."""
    probability: float
    """Calibrated probability of not being of the first class, before any abstention."""
    probabilities: dict[str, float]
    """By class, before any abstention; they add up to 1."""
    prediction_set: tuple[str, ...]
    coverage: float
    abstained_because: tuple[Abstention, ...]
    voters: tuple[VoterAnswer, ...]
    evidence: Evidence
    """Test figures of the pooled voters, with those of a baseline that hears nothing but levels."""
    predictive_values: PredictiveValues | None = None
    """Of the sound, where the caller named a prevalence."""
    symptoms: SymptomAnswer | None = None
    """What the person's answers alone say, apart from the sound; None where none were given."""
    fused: FusedAnswer | None = None
    """None where there are no symptoms."""

    @property
    def abstained(self) -> bool:
        """Whether there is no answer."""
        return self.answer == ABSTAIN


def pool(spec: MediatorSpec, votes: Sequence[Float64]) -> Float64:
    """(n_classes,) calibrated probability from the voters' probabilities, each (n_classes,)."""
    return _softmax(spec.slope * mean_log(votes) + np.array(spec.shifts))


def mean_log(votes: Sequence[Float64]) -> Float64:
    """Mean of the voters' log-probabilities, each (..., n_classes): what the mediator is calibrated on."""
    return np.asarray(np.mean([_log(vote) for vote in votes], axis=0))


def geometric_mean(probabilities: npt.ArrayLike) -> Float64:
    """(n, n_classes) -> (n_classes,): the normalised geometric mean."""
    return _softmax(_log(np.atleast_2d(probabilities)).mean(axis=0))


def prediction_set(probabilities: Sequence[float], quantiles: Sequence[float]) -> tuple[int, ...]:
    """Classes whose nonconformity, 1 - their probability, is within their quantile."""
    pairs = zip(probabilities, quantiles, strict=True)
    return tuple(c for c, (p, quantile) in enumerate(pairs) if 1.0 - p <= quantile)


def decide(
    spec: ConditionSpec,
    votes: Mapping[str, Float64],
    *,
    band: Band | None,
    prevalence: float | None = None,
    symptoms: SymptomAnswer | None = None,
    models_changed: bool = False,
) -> ConditionAnswer:
    """One recording's answer to one condition.

    Parameters
    ----------
    votes : by voter, (n_classes,) probabilities
    band : of the recording; None where it cannot be told
    prevalence : share of people like this one who have the condition, between 0 and 1
    symptoms : what the person's answers say
    models_changed : some model is not the one that the mediator was calibrated with

    Raises
    ------
    ValueError : prevalence is not between 0 and 1
    """
    pooled = pool(spec.mediator, list(votes.values()))
    chosen = prediction_set(pooled.tolist(), spec.mediator.conformal_quantiles)
    reasons: list[Abstention] = []
    if not spec.answers:
        reasons.append("insufficient_evidence")
    if models_changed:
        reasons.append("models_changed")
    if band not in spec.bands:
        reasons.append("outside_domain")
    named = {int(np.argmax(vote)) for vote in votes.values()}
    if len(chosen) > 1:
        reasons.append("uncertain")
    elif not chosen:
        reasons.append("unlike_any_class")
    if len(named) > 1 or (len(chosen) == 1 and named != set(chosen)):
        reasons.append("voters_disagree")
    return ConditionAnswer(
        name=spec.name,
        title=spec.title,
        answer=ABSTAIN if reasons else spec.classes[chosen[0]],
        probability=float(1.0 - pooled[0]),
        probabilities=_by_class(spec, pooled),
        prediction_set=tuple(spec.classes[c] for c in chosen),
        coverage=spec.mediator.conformal_coverage,
        abstained_because=tuple(reasons),
        voters=tuple(
            VoterAnswer(name=v.name, probabilities=_by_class(spec, votes[v.name]), evidence=v.evidence)
            for v in spec.voters
        ),
        evidence=spec.evidence,
        predictive_values=predictive_values(spec.evidence, prevalence),
        symptoms=symptoms,
        fused=fuse(spec, float(1.0 - pooled[0]), symptoms),
    )


def combine(spec: ConditionSpec, answers: Sequence[ConditionAnswer]) -> ConditionAnswer:
    """One person's answer to one condition from the answers of several recordings.

    Raises
    ------
    ValueError : no answers
    """
    if not answers:
        raise ValueError("there is no recording to combine")
    inside = [a for a in answers if "outside_domain" not in a.abstained_because]
    counted = inside or list(answers)
    if len(counted) == 1:
        return counted[0]
    pooled = geometric_mean([[a.probabilities[c] for c in spec.classes] for a in counted])
    union = tuple(c for c in spec.classes if any(c in a.prediction_set for a in counted))
    reasons: list[Abstention] = []
    if not spec.answers:
        reasons.append("insufficient_evidence")
    if "models_changed" in counted[0].abstained_because:
        reasons.append("models_changed")
    if not inside:
        reasons.append("outside_domain")
    if len(union) > 1:
        single = all(len(a.prediction_set) == 1 for a in counted)
        reasons.append("recordings_disagree" if single else "uncertain")
    if not all(a.prediction_set for a in counted):
        reasons.append("unlike_any_class")
    named = {
        max(vote.probabilities, key=lambda c: vote.probabilities[c]) for a in counted for vote in a.voters
    }
    if any("voters_disagree" in a.abstained_because for a in counted) or (
        len(union) == 1 and named != set(union)
    ):
        reasons.append("voters_disagree")
    first = counted[0]
    return first.model_copy(
        update={
            "answer": ABSTAIN if reasons else union[0],
            "probability": float(1.0 - pooled[0]),
            "probabilities": _by_class(spec, pooled),
            "prediction_set": union,
            "abstained_because": tuple(reasons),
            "voters": tuple(
                vote.model_copy(
                    update={
                        "probabilities": _by_class(
                            spec,
                            geometric_mean(
                                [[a.voters[i].probabilities[c] for c in spec.classes] for a in counted]
                            ),
                        )
                    }
                )
                for i, vote in enumerate(first.voters)
            ),
            "fused": fuse(spec, float(1.0 - pooled[0]), first.symptoms),
        }
    )


def combine_all(
    specs: Sequence[ConditionSpec], recordings: Sequence[Sequence[ConditionAnswer]]
) -> tuple[ConditionAnswer, ...]:
    """``combine`` for every condition; each of ``recordings`` has its answers in the bundle's order."""
    return tuple(combine(spec, [answers[i] for answers in recordings]) for i, spec in enumerate(specs))


def fuse(spec: ConditionSpec, sound: float, symptoms: SymptomAnswer | None) -> FusedAnswer | None:
    """Log-odds of the symptoms plus what the sound moved them from its own base rate."""
    if symptoms is None:
        return None
    moved = log_odds_of(sound) - log_odds_of(spec.base_rate) if spec.answers else 0.0
    log_odds = log_odds_of(symptoms.probability) + moved
    return FusedAnswer(
        probability=probability_of(log_odds),
        prevalence=symptoms.prevalence,
        sound_counts=spec.answers,
        assumes=ASSUMPTION,
    )


def predictive_values(evidence: Evidence, prevalence: float | None) -> PredictiveValues | None:
    """PPV and NPV by Bayes' rule; None without a prevalence or without measured figures.

    Raises
    ------
    ValueError : prevalence is not between 0 and 1
    """
    if prevalence is None:
        return None
    if not 0 < prevalence < 1:
        raise ValueError("prevalence must be between 0 and 1")
    sensitivity, specificity = evidence.sensitivity, evidence.specificity
    if sensitivity is None or specificity is None:
        return None
    positive, negative = bayes(sensitivity, specificity, prevalence)
    ranges = predictive_ranges(evidence.sensitivity_95, evidence.specificity_95, prevalence)
    return PredictiveValues(
        prevalence=prevalence,
        positive=positive,
        positive_range=ranges[0],
        negative=negative,
        negative_range=ranges[1],
    )


def _by_class(spec: ConditionSpec, probabilities: Float64) -> dict[str, float]:
    return {name: float(p) for name, p in zip(spec.classes, probabilities, strict=True)}


def _log(probabilities: npt.ArrayLike) -> Float64:
    """Kept finite, and no further from 0 than what a graph in float32 gives.

    Calibration averages logits: a floor that one sure cough reaches would move the mean of several.
    """
    return np.asarray(np.log(np.clip(np.asarray(probabilities, np.float64), 1e-37, 1.0)))


def _softmax(x: Float64) -> Float64:
    e = np.exp(x - x.max())
    return np.asarray(e / e.sum())
