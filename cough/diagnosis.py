"""From embeddings to guarded answers: a calibrated probability, a set, and the right to abstain.

The set is conformal with one quantile per class (Vovk 2012, "Conditional validity of inductive
conformal predictors"), calibrated on out-of-fold scores: for recordings like those, it holds the
true class about as often as its coverage says, for each class; how often it did on the test fold
stands in the bundle's metrics. A head answers only when exactly one class is in the set, the
recording lies in the domain that the head was judged in, and the evidence beats a baseline that
hears nothing but levels; otherwise it abstains and says why.

A new condition is one more ``ConditionSpec`` and ONNX head in the bundle: no code.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
import onnxruntime as ort
from pydantic import BaseModel, ConfigDict

from cough import errors
from cough.audio import Float32
from cough.bundle import ABSTAIN, Bundle, ConditionSpec, Evidence
from cough.quality import QualityReport
from cough.symptoms import SymptomAnswer, SymptomAnswers
from cough.symptoms import answer as answer_symptoms

Abstention: TypeAlias = Literal["uncertain", "unlike_any_class", "outside_domain", "insufficient_evidence"]

WHY: dict[Abstention, str] = {
    "uncertain": "Both answers are still possible at the stated coverage.",
    "unlike_any_class": "The recording is unlike those of either answer.",
    "outside_domain": "This kind of recording is not among those the model was judged on.",
    "insufficient_evidence": "In evaluation the cough told too little beyond how loud, long and bright "
    "the recording is.",
}


class ConditionAnswer(BaseModel):
    """What the sound says about one condition, beside what it is worth."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    title: str
    answer: str
    """One of the classes, or ``inconclusive``."""
    probability: float
    """Calibrated probability of the second class, before any abstention."""
    prediction_set: tuple[str, ...]
    coverage: float
    abstained_because: tuple[Abstention, ...]
    evidence: Evidence
    """Test figures of this head, with those of a baseline that hears nothing but levels."""
    symptoms: SymptomAnswer | None = None
    """What the person's answers alone say, apart from the sound; None where none were given."""

    @property
    def abstained(self) -> bool:
        """Whether there is no answer."""
        return self.answer == ABSTAIN


class Diagnosis:
    """All heads of a bundle. Safe to share between threads.

    Raises
    ------
    BundleIncompatible : a head is not (batch, embedding_size) -> (batch, 1)
    """

    def __init__(self, bundle: Bundle) -> None:
        self._heads: list[tuple[ConditionSpec, ort.InferenceSession]] = [
            (spec, bundle.session(spec.file)) for spec in bundle.spec.conditions
        ]
        probe = np.zeros((1, bundle.spec.encoder.embedding_size), np.float32)
        for spec, session in self._heads:
            try:
                shape = _run(session, probe).shape
            except Exception as error:  # ONNX Runtime raises half a dozen unrelated types
                raise errors.BundleIncompatible(f"{spec.file} does not take embeddings.") from error
            if shape != (1, 1):
                raise errors.BundleIncompatible(f"{spec.file} gives shape {shape}, not (1, 1).")

    def answer(
        self,
        embeddings: Float32,
        quality: QualityReport,
        *,
        symptoms: SymptomAnswers | None = None,
        prevalence: float | None = None,
    ) -> tuple[ConditionAnswer, ...]:
        """Answer every condition of the bundle.

        Parameters
        ----------
        embeddings : (n_events, embedding_size) float32, at least one row; their mean is judged
        quality : says which domain the recording belongs to
        symptoms : what the person says; answered beside the sound, never mixed into it
        prevalence : for the symptoms' probability, between 0 and 1
        """
        if not len(embeddings):
            raise ValueError("there is no embedding to judge; a recording without coughs has no answer")
        mean = embeddings.mean(axis=0, keepdims=True, dtype=np.float64).astype(np.float32)
        answers = []
        for spec, session in self._heads:
            judged = _judge(spec, float(_run(session, mean)[0, 0]), quality)
            if spec.symptoms is not None and symptoms is not None:
                said = answer_symptoms(spec.symptoms, symptoms, prevalence=prevalence)
                judged = judged.model_copy(update={"symptoms": said})
            answers.append(judged)
        return tuple(answers)


def _run(session: ort.InferenceSession, embeddings: Float32) -> Float32:
    out: Float32 = session.run(None, {session.get_inputs()[0].name: embeddings})[0]
    return out


def _judge(spec: ConditionSpec, probability: float, quality: QualityReport) -> ConditionAnswer:
    chosen = prediction_set(probability, spec.conformal_quantiles)
    reasons: list[Abstention] = []
    if not spec.answers:
        reasons.append("insufficient_evidence")
    if quality.band not in spec.bands:
        reasons.append("outside_domain")
    if len(chosen) != 1:
        reasons.append("uncertain" if chosen else "unlike_any_class")
    return ConditionAnswer(
        name=spec.name,
        title=spec.title,
        answer=ABSTAIN if reasons else spec.classes[chosen[0]],
        probability=probability,
        prediction_set=tuple(spec.classes[c] for c in chosen),
        coverage=spec.conformal_coverage,
        abstained_because=tuple(reasons),
        evidence=spec.evidence,
    )


def prediction_set(probability: float, quantiles: tuple[float, float]) -> tuple[int, ...]:
    """Classes (0, 1) whose nonconformity, 1 - their probability, is within their quantile."""
    nonconformity = (probability, 1.0 - probability)
    return tuple(c for c in (0, 1) if nonconformity[c] <= quantiles[c])
