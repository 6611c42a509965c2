"""The one flow: decode, gate, quality, encoder, diagnosis, result.

Training, batch evaluation, the command line and the service all call ``Screener.screen``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

from cough.audio import AudioSource, DecodeLimits, SourceInfo, Waveform, decode
from cough.bundle import Bundle, ConditionSpec, load_bundle
from cough.diagnosis import Diagnosis
from cough.encoder import Encoder
from cough.gate import CoughEvent, CoughGate
from cough.heard import fingerprint, read_heard
from cough.mediator import ConditionAnswer, combine_all
from cough.messages import NOTICE, NOTICE_CODE
from cough.quality import QualityConfig, QualityReport, Reason, assess, judge
from cough.symptoms import SymptomAnswers

SCHEMA_VERSION: Literal["1.0"] = "1.0"

Outcome: TypeAlias = Literal["screened", "inconclusive", "rerecord"]


class Model(BaseModel):
    """Which bundle answered."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bundle_id: str
    bundle_sha256: str
    files: dict[str, str]
    """sha256 of each model file."""

    @classmethod
    def of(cls, bundle: Bundle) -> Model:
        """Name a bundle."""
        return cls(bundle_id=bundle.spec.bundle_id, bundle_sha256=bundle.sha256, files=bundle.spec.files)


class ScreeningResult(BaseModel):
    """The answer for one recording.

    ``screened``: at least one condition is answered. ``inconclusive``: coughs were measured and
    every condition abstained. ``rerecord``: nothing was measured beyond the gate; ``conditions``
    is then empty, because "not measured" is not "low".
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal["1.0"] = SCHEMA_VERSION
    outcome: Outcome
    reasons: tuple[Reason, ...]
    """Every re-record reason that applies; those with ``blocking`` decided the outcome."""
    cough_score: float
    """Calibrated probability that the recording holds a cough; present for every recording."""
    events: tuple[CoughEvent, ...]
    conditions: tuple[ConditionAnswer, ...]
    quality: QualityReport
    source: SourceInfo
    model: Model
    timings_ms: dict[str, float]
    notice: Literal["research_only_not_a_diagnosis"] = NOTICE_CODE
    notice_text: str = NOTICE


class PersonResult(BaseModel):
    """The answer for one person from several recordings; each recording's own result is kept.

    Recordings to be made again are not counted; ``rerecord`` means that none was usable.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal["1.0"] = SCHEMA_VERSION
    outcome: Outcome
    n_counted: int
    """Recordings in which coughs were measured."""
    conditions: tuple[ConditionAnswer, ...]
    recordings: tuple[ScreeningResult, ...]
    notice: Literal["research_only_not_a_diagnosis"] = NOTICE_CODE
    notice_text: str = NOTICE


class Screener:
    """Loads a bundle once and screens recordings; safe to share between threads.

    Parameters
    ----------
    bundle : a folder, a loaded ``Bundle``, or None for ``COUGH_BUNDLE`` or the shipped one
    quality : limits and severities of the re-record reasons
    limits : what ``decode`` refuses

    Raises
    ------
    BundleError : the bundle is missing, tampered with or does not fit
    """

    def __init__(
        self,
        bundle: Bundle | str | os.PathLike[str] | None = None,
        *,
        quality: QualityConfig | None = None,
        limits: DecodeLimits | None = None,
    ) -> None:
        self.bundle = bundle if isinstance(bundle, Bundle) else load_bundle(bundle)
        self.quality = quality or QualityConfig()
        self.limits = limits or DecodeLimits()
        self.gate = CoughGate(self.bundle)
        self.encoder = Encoder(self.bundle)
        self.diagnosis = Diagnosis(self.bundle)
        self.model = Model.of(self.bundle)
        self._heard = read_heard(self.bundle)

    def was_trained_on(self, waveform: Waveform) -> bool | None:
        """Whether the bundle learnt from this very sound; None where it does not say what from."""
        return None if self._heard is None else fingerprint(waveform.samples) in self._heard

    def screen(
        self,
        source: AudioSource | Waveform,
        *,
        symptoms: SymptomAnswers | None = None,
        prevalence: float | None = None,
    ) -> ScreeningResult:
        """Screen one recording.

        Parameters
        ----------
        source : a path, bytes, binary file object, or an already decoded ``Waveform``
        symptoms : what the person says; answered beside the sound where coughs were measured
        prevalence : for the probability of those answers, between 0 and 1

        Raises
        ------
        InputError : the recording cannot be decoded; see ``cough.errors``
        BundleIncompatible : a model gives something that is no number
        ValueError : prevalence is not between 0 and 1
        """
        if prevalence is not None and not 0 < prevalence < 1:
            raise ValueError("prevalence must be between 0 and 1")
        clock = _Clock()
        waveform = source if isinstance(source, Waveform) else decode(source, limits=self.limits)
        clock.lap("decode")
        gated = self.gate.detect(waveform.samples)
        clock.lap("gate")
        quality = assess(waveform, gated.events)
        reasons = judge(quality, self.quality)
        turned_away = not gated.events or any(reason.blocking for reason in reasons)
        clock.lap("quality")
        conditions: tuple[ConditionAnswer, ...] = ()
        if not turned_away:
            embeddings = self.encoder.embed(waveform.samples, gated.events)
            clock.lap("encoder")
            conditions = self.diagnosis.answer(
                waveform.samples,
                gated.events,
                embeddings,
                quality,
                symptoms=symptoms,
                prevalence=prevalence,
            )
            clock.lap("diagnosis")
        outcome: Outcome = "rerecord" if turned_away else _answered(conditions)
        return ScreeningResult(
            outcome=outcome,
            reasons=reasons,
            cough_score=gated.cough_score,
            events=gated.events,
            conditions=conditions,
            quality=quality,
            source=waveform.source,
            model=self.model,
            timings_ms=clock.total(),
        )

    def screen_person(
        self,
        sources: Sequence[AudioSource | Waveform],
        *,
        symptoms: SymptomAnswers | None = None,
        prevalence: float | None = None,
    ) -> PersonResult:
        """Screen several recordings of one person; the rules are in ``cough.mediator``.

        Raises
        ------
        InputError, BundleIncompatible : as ``screen``
        ValueError : no recordings, or prevalence is not between 0 and 1
        TypeError : one path or recording, not several
        """
        if isinstance(sources, str | bytes):
            raise TypeError("screen_person takes several recordings, as a list")
        results = [self.screen(source, symptoms=symptoms, prevalence=prevalence) for source in sources]
        return combine(self.bundle.spec.conditions, results)


def combine(conditions: Sequence[ConditionSpec], results: Sequence[ScreeningResult]) -> PersonResult:
    """One person's answer from results of one bundle.

    Parameters
    ----------
    conditions : of that bundle

    Raises
    ------
    ValueError : no results
    """
    if not results:
        raise ValueError("there is no recording to combine")
    counted = [result.conditions for result in results if result.outcome != "rerecord"]
    answers = combine_all(conditions, counted) if counted else ()
    return PersonResult(
        outcome=_answered(answers) if counted else "rerecord",
        n_counted=len(counted),
        conditions=answers,
        recordings=tuple(results),
    )


def _answered(conditions: tuple[ConditionAnswer, ...]) -> Outcome:
    return "screened" if any(not c.abstained for c in conditions) else "inconclusive"


class _Clock:
    """Milliseconds per step, in order."""

    def __init__(self) -> None:
        self._began = self._last = time.perf_counter()
        self._laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self._laps[name] = round((now - self._last) * 1e3, 3)
        self._last = now

    def total(self) -> dict[str, float]:
        return {**self._laps, "total": round((time.perf_counter() - self._began) * 1e3, 3)}
