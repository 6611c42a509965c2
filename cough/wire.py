"""What the service and its clients say to each other, beside ``ScreeningResult``.

Both ``serving`` and ``cough.client`` read these models; neither imports the other.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from cough.gate import CoughEvent
from cough.mediator import ConditionAnswer
from cough.messages import NOTICE, NOTICE_CODE
from cough.quality import QualityReport, Reason
from cough.screener import SCHEMA_VERSION, Model, Outcome, ScreeningResult
from cough.symptoms import SymptomAnswers


class _Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Problem(_Wire):
    """RFC 9457 problem details. ``code`` is stable: from ``cough.errors`` or the service's own."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    """One sentence for a person."""
    code: str
    request_id: str
    """The one of ``X-Request-ID``; finds the request in the service's log."""


class Symptoms(_Wire):
    """What the person says. Left out means not asked, which is not the same as no."""

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


class Metadata(_Wire):
    """The ``metadata`` of a screening; unknown keys are refused."""

    age: int | None = Field(default=None, ge=0, le=120)
    """Years."""
    sex: Literal["female", "male", "other"] | None = None
    symptoms: Symptoms | None = None

    def answers(self) -> SymptomAnswers:
        """As the library takes them."""
        symptoms = {} if self.symptoms is None else self.symptoms.model_dump()
        return SymptomAnswers(age=self.age, sex=self.sex, **symptoms)


class GateAnswer(_Wire):
    """What the gate alone says about one recording: usable, or how to record again."""

    schema_version: Literal["1.0"] = SCHEMA_VERSION
    usable: bool
    """Whether a screening would measure it."""
    reasons: tuple[Reason, ...]
    """Every re-record reason that applies; those with ``blocking`` make it unusable."""
    cough_score: float
    """Calibrated probability that the recording holds a cough."""
    events: tuple[CoughEvent, ...]
    quality: QualityReport
    model: Model
    timings_ms: dict[str, float]
    notice: Literal["research_only_not_a_diagnosis"] = NOTICE_CODE
    notice_text: str = NOTICE


class ScreeningSet(_Wire):
    """The answer to several recordings of one person: together, and each on its own in the order sent."""

    schema_version: Literal["1.0"] = SCHEMA_VERSION
    outcome: Outcome
    """Of the person; ``rerecord`` where no recording was usable."""
    n_counted: int
    """Recordings in which coughs were measured."""
    conditions: tuple[ConditionAnswer, ...]
    """The person's answers; the rules are in ``cough.mediator``."""
    recordings: tuple[ScreeningResult | Problem, ...]
    notice: Literal["research_only_not_a_diagnosis"] = NOTICE_CODE
    notice_text: str = NOTICE


class Reasons(_Wire):
    """The message catalogue: English sentences by code, for an app to show or translate."""

    rerecord: dict[str, str]
    """Why a recording should be made again, and how."""
    abstentions: dict[str, str]
    """Why a condition was not answered."""
    problems: dict[str, str]
    """Why a request was refused; ``detail`` of a problem may be more exact."""
    notice: str


class Uses(_Wire):
    """Which optional inputs have any influence on the answers of the installed bundle."""

    metadata: bool
    prevalence: bool
    combines_recordings: bool


class InstalledCondition(_Wire):
    name: str
    title: str
    classes: tuple[str, ...]
    voters: tuple[str, ...]
    """Independent models of the sound."""
    answers: bool
    """False: it always abstains, because its evidence does not carry an answer."""
    policy: str


class InstalledModel(_Wire):
    """The bundle that answers."""

    model: Model
    gate_threshold: float
    conditions: tuple[InstalledCondition, ...]
    uses: Uses
    licences: dict[str, int]
    """Training recordings under each licence."""


class Models(_Wire):
    """The installed bundles; at present always one."""

    models: tuple[InstalledModel, ...]
