"""A model bundle: a folder of ONNX files and the ``bundle.json`` that says what they are.

Loading reads every file once, checks its sha256 against ``bundle.json`` and hands the bytes on, so
that what was verified is what runs. A user's own gate, encoder or voter drops in the same way: put
the ONNX beside ``bundle.json``, state its sha256, rate, window and shape there.

Which bundle: the argument, else ``COUGH_BUNDLE``, else the one shipped with this package.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import onnxruntime as ort
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from cough import errors
from cough.audio import SAMPLE_RATE_HZ
from cough.odds import Interval, Probability
from cough.symptoms import SymptomSpec

FORMAT = 2
DEFAULT_BUNDLE = Path(__file__).parent / "models" / "default"
MANIFEST = "bundle.json"
ABSTAIN = "inconclusive"
"""The answer where there is none; no class may have this name."""
Sha256: TypeAlias = Annotated[str, StringConstraints(to_lower=True, pattern=r"^[0-9A-Fa-f]{64}$")]
"""Some systems print it in capitals."""


class _Spec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class GateSpec(_Spec):
    """``file``: (batch, n_samples) float32 -> (batch, n_samples // hop) cough probabilities."""

    file: str
    hop_s: float = Field(ge=0.001, le=10)
    context_s: float = Field(ge=0, le=60)
    """Input either side of a frame that can change its probability."""
    edge_s: float | None = Field(default=None, ge=0, le=60)
    """Silence before and after a recording that is given to the graph; None: ``context_s``."""
    score_frames: int = Field(ge=1)
    """A score is the highest mean probability over this many consecutive frames."""
    threshold: float = Field(gt=0, lt=1)
    """Score from which an event, and so the clip, counts as cough."""
    exit_threshold: float = Field(gt=0, lt=1)
    """Frame probability below which an event has ended."""
    min_event_s: float = Field(ge=0)
    merge_gap_s: float = Field(ge=0)
    threshold_chosen: str
    """How, and on which recordings."""
    calibration: str

    @model_validator(mode="after")
    def _hysteresis_makes_sense(self) -> GateSpec:
        if abs(self.hop_s * SAMPLE_RATE_HZ - round(self.hop_s * SAMPLE_RATE_HZ)) > 1e-6:
            raise ValueError("hop_s must be a whole number of samples, or times drift")
        if self.exit_threshold > self.threshold:
            raise ValueError("exit_threshold must not be above threshold")
        if self.edge_s is not None and self.edge_s > self.context_s:
            raise ValueError("edge_s must not be above context_s")
        if round(self.merge_gap_s / self.hop_s) < self.score_frames - 2:
            raise ValueError("merge_gap_s must span score_frames - 2 frames, or scores bleed between events")
        return self


class EncoderSpec(_Spec):
    """``file``: (batch, window) float32 -> (batch, embedding_size), each row of unit length."""

    file: str
    window_s: float = Field(gt=0, le=60)
    embedding_size: int = Field(gt=0, le=65_536)


class Evidence(_Spec):
    """What was measured, beside a baseline that hears nothing but levels.

    With more than two classes, AUROC is the mean over classes of one against the rest, and
    ``n_positive`` counts everything that is not of the first class.
    """

    test_set: str
    n_recordings: int = Field(ge=0)
    n_positive: int = Field(ge=0)
    auroc: Probability
    auroc_95: Interval
    """Group-bootstrap interval."""
    level_only_auroc: Probability
    """From six level statistics alone (duration, rms, peak, flatness, roll-off, dynamic range)."""
    level_only_auroc_95: Interval
    margin_95: Interval
    """Interval of (auroc - level_only_auroc), both on the same resampled groups."""
    sensitivity: Probability | None = None
    """Of a call where the probability is one half or more; None where it was not measured."""
    sensitivity_95: Interval | None = None
    specificity: Probability | None = None
    specificity_95: Interval | None = None
    expected_calibration_error: Probability | None = None
    expected_calibration_error_95: Interval | None = None

    @model_validator(mode="after")
    def _counts_add_up(self) -> Evidence:
        if self.n_positive > self.n_recordings:
            raise ValueError("there are more positives than recordings")
        return self


class VoterSpec(_Spec):
    """One opinion on the sound: class probabilities, each row adding up to 1.

    ``hears`` embeddings: ``file`` is (1, embedding_size) -> (1, n_classes), given the mean embedding of
    the coughs. ``hears`` coughs: (n_coughs, window) 16 kHz samples -> (n_coughs, n_classes), of which the
    normalised geometric mean counts. ``hears`` recording: (1, n_samples) -> (1, n_classes).
    """

    name: str = Field(min_length=1)
    hears: Literal["embeddings", "coughs", "recording"]
    file: str
    encoder_sha256: Sha256 | None = None
    """Of the encoder it was trained with, and without which it is not valid; for ``embeddings``."""
    window_s: float | None = Field(default=None, gt=0, le=60)
    """Cut around each cough; for ``coughs``."""
    method: str
    calibration: str
    evidence: Evidence | None = None

    @model_validator(mode="after")
    def _says_what_it_needs(self) -> VoterSpec:
        if (self.hears == "embeddings") != (self.encoder_sha256 is not None):
            raise ValueError("encoder_sha256 belongs to voters that hear embeddings, and only there")
        if (self.hears == "coughs") != (self.window_s is not None):
            raise ValueError("window_s belongs to voters that hear coughs, and only there")
        return self


class MediatorSpec(_Spec):
    """How voters become one probability and one set; the rules are ``cough.mediator``."""

    slope: float = Field(ge=0)
    shifts: tuple[float, ...]
    """softmax(slope x mean log-probability of the voters + shifts): calibrated on held-out folds."""
    conformal_coverage: float = Field(gt=0, lt=1)
    conformal_quantiles: tuple[Probability, ...]
    """For each class, the largest nonconformity (1 - its probability) that stays in the set."""
    chosen: str
    """On which recordings."""
    calibrated_with: dict[str, Sha256] = {}
    """sha256 of the models whose scores these numbers are of, by file: gate, encoder and voters, and of the
    gate's settings (``cough.diagnosis.models_of``). Where one of them is another, or gone, the condition
    abstains. Empty: nobody wrote it down, and nothing is checked."""
    coverage_by_band: dict[str, tuple[int, float]] = {}
    """Test recordings, and the share whose set held the truth, by bandwidth."""


class ConditionSpec(_Spec):
    """One question to the sound. The first class is the one without the condition."""

    name: str = Field(min_length=1)
    title: str
    classes: tuple[str, ...] = Field(min_length=2)
    voters: tuple[VoterSpec, ...] = Field(min_length=1)
    mediator: MediatorSpec
    base_rate: float = Field(gt=0, lt=1)
    """Share of training recordings that are not of the first class."""
    bands: tuple[Literal["telephone", "wide"], ...]
    """Bandwidths on which it was judged; on others it abstains."""
    answers: bool
    """False where the evidence does not carry an answer: then it always abstains."""
    policy: str
    evidence: Evidence
    """Of the mediator."""
    symptoms: SymptomSpec | None = None
    """What a person's answers alone say."""

    @model_validator(mode="after")
    def _fits_together(self) -> ConditionSpec:
        n = len(self.classes)
        if len({*self.classes, ABSTAIN}) != n + 1:
            raise ValueError(f"classes must be different words other than {ABSTAIN!r}")
        if len({voter.name for voter in self.voters}) != len(self.voters):
            raise ValueError("two voters have the same name")
        if {len(self.mediator.shifts), len(self.mediator.conformal_quantiles)} != {n}:
            raise ValueError("the mediator needs a shift and a quantile for each class")
        return self


class TrainingRecord(_Spec):
    """Where the weights came from."""

    code_version: str
    config: dict[str, Any]
    data_hash: str
    licences: dict[str, int]
    """Training recordings under each licence."""
    seed: int
    libraries: dict[str, str]
    teacher: str
    """Whose outputs were distilled, under which licence."""
    teacher_sha256: str
    heard: str = ""
    """The file that lists what was trained on (``cough.heard``); empty where nobody wrote it down."""
    kept: dict[str, Any] = {}
    """Parts taken as they were from an earlier bundle, and where that one came from."""


class BundleSpec(_Spec):
    """The whole of ``bundle.json``."""

    format: Literal[2]
    bundle_id: str
    sample_rate_hz: int
    files: dict[str, Sha256]
    """sha256 of every file beside ``bundle.json``."""
    gate: GateSpec
    encoder: EncoderSpec
    conditions: tuple[ConditionSpec, ...]
    training: TrainingRecord
    metrics: dict[str, Any]
    """Figures with their test sets, by part: ``gate``, ``encoder`` and each condition."""

    @model_validator(mode="after")
    def _complete(self) -> BundleSpec:
        names = [condition.name for condition in self.conditions]
        if len(set(names)) != len(names):
            raise ValueError("two conditions have the same name")
        if missing := {"gate", "encoder", *names} - set(self.metrics):
            raise ValueError(f"metrics lack {', '.join(sorted(missing))}")
        return self


@dataclass(frozen=True)
class Bundle:
    """A verified bundle. ``contents`` holds the bytes whose hashes were checked."""

    spec: BundleSpec
    sha256: str
    """Of ``bundle.json`` itself, which names the hashes of all others."""
    contents: dict[str, bytes]

    def session(self, file: str) -> ort.InferenceSession:
        """An ONNX Runtime session on one thread, so that single and batch answers are equal.

        Raises
        ------
        BundleIncompatible : the file is not a model that ONNX Runtime can load
        """
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            return ort.InferenceSession(
                self.contents[file], sess_options=options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime raises half a dozen unrelated types
            raise errors.BundleIncompatible(f"{file} is not a model that can be run.") from error


def chosen_folder(folder: str | os.PathLike[str] | None) -> Path:
    """The folder given, else that of ``COUGH_BUNDLE``, else the shipped bundle's."""
    return Path(folder or os.environ.get("COUGH_BUNDLE") or DEFAULT_BUNDLE)


def load_bundle(folder: str | os.PathLike[str] | None = None) -> Bundle:
    """Read and verify a bundle.

    Parameters
    ----------
    folder : defaults to ``COUGH_BUNDLE``, then to the bundle shipped with the package

    Raises
    ------
    BundleMissing : no folder, no ``bundle.json``, or a listed file is absent
    BundleTampered : a file differs from its sha256, or a model is there that is not listed
    BundleIncompatible : ``bundle.json`` is no valid description for this library
    """
    root = chosen_folder(folder)
    manifest = _read(root, MANIFEST)
    spec = _parse(manifest)
    unlisted = sorted({p.name for p in root.glob("*.onnx")} - set(spec.files))
    if unlisted:
        raise errors.BundleTampered(
            f"The bundle holds models that {MANIFEST} does not list: {', '.join(map(ascii, unlisted))}."
        )
    contents = {}
    for name, expected in spec.files.items():
        if not name or Path(name).name != name or not name.isprintable():
            raise errors.BundleIncompatible(f"{MANIFEST} names {name!r}, which is not a plain file name.")
        contents[name] = _read(root, name)
        if hashlib.sha256(contents[name]).hexdigest() != expected:
            raise errors.BundleTampered(f"{name} does not match the sha256 in {MANIFEST}.")
    _check_consistent(spec)
    return Bundle(spec, hashlib.sha256(manifest).hexdigest(), contents)


def _read(root: Path, name: str) -> bytes:
    try:
        return (root / name).read_bytes()
    except FileNotFoundError as error:
        raise errors.BundleMissing(f"The bundle at {root} has no {name}.") from error
    except OSError as error:
        raise errors.BundleMissing(f"The bundle at {root} cannot be read.") from error


def _parse(manifest: bytes) -> BundleSpec:
    try:
        table = json.loads(manifest)
    except (ValueError, RecursionError) as error:
        raise errors.BundleIncompatible(f"{MANIFEST} is not JSON.") from error
    if isinstance(table, dict) and table.get("format") != FORMAT:
        raise errors.BundleIncompatible(
            f"The bundle has format {table.get('format')!r}; this library reads {FORMAT}."
        )
    try:
        return BundleSpec.model_validate(table)
    except ValidationError as error:
        raise errors.BundleIncompatible(f"{MANIFEST} does not fit: {in_a_line(error)}.") from error


def in_a_line(error: ValidationError) -> str:
    """The first problems of a file that does not fit, each with its place."""
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
        for problem in error.errors()[:3]
    )


def _check_consistent(spec: BundleSpec) -> None:
    if spec.sample_rate_hz != SAMPLE_RATE_HZ:
        raise errors.BundleIncompatible(
            f"The bundle wants {spec.sample_rate_hz} Hz; this library gives {SAMPLE_RATE_HZ} Hz."
        )
    used = [spec.gate.file, spec.encoder.file, *(v.file for c in spec.conditions for v in c.voters)]
    if spec.training.heard:
        used.append(spec.training.heard)
    for name in used:
        if name not in spec.files:
            raise errors.BundleIncompatible(f"{MANIFEST} uses {name} without stating its sha256.")
    for condition in spec.conditions:
        for voter in condition.voters:
            if voter.encoder_sha256 not in (None, spec.files[spec.encoder.file]):
                raise errors.BundleIncompatible(
                    f"The voter {voter.name} for {condition.name} was trained on another encoder."
                )
