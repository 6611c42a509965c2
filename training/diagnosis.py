"""The voters and the mediator of one condition: fitted, calibrated and judged on any manifest.

Of the folds other than ``test_fold`` the last is kept: what ships learns from those before it, is calibrated
there by models that had each of them left out in turn, and the kept fold, of whose classes nothing was
learnt, gives the conformal quantiles (split conformal, Papadopoulos et al. 2002). Its sounds, without their
classes, may be among those the encoder learnt from (in the shipped bundle they are), so that its scores are
not wholly exchangeable with those of a new person. The test fold gives the evidence: whether the sets hold
the truth as often there is measured. The condition may answer only if, out of fold, the lower end of the 95 %
group-bootstrap interval of (AUROC - that of six level statistics) is above 0, with enough people of every
class, the test fold does not contradict it, and gate and encoder learnt from none of its recordings. Without
subjects in the manifest every recording is its own group, and intervals are too narrow where one person
stands behind several.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError
from rich.console import Console
from rich.progress import track
from scipy.stats import binom
from sklearn.base import ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cough import errors
from cough.bundle import Bundle, ConditionSpec, MediatorSpec, VoterSpec, in_a_line
from cough.diagnosis import models_of
from cough.evaluation.resampling import MIN_A_CLASS
from cough.heard import read_heard, write_heard
from cough.mediator import mean_log, pool
from cough.symptoms import SymptomSpec
from training.evidence import Judged, evidence_of, inside_sets, margin_over_levels, ranked, sets_of
from training.recordings import WINDOW, ConditionConfig, Recordings, check_apart
from training.voters import (
    calibrate,
    conformal_quantiles,
    cross_logits,
    log_softmax,
    macro_auroc,
    voter_kinds,
)

CONTRADICTED = 0.025
"""Share of samples in which sets of the stated coverage would hold the truth as seldom as they do."""


@dataclass(frozen=True)
class Condition:
    """A trained condition, ready for a bundle."""

    spec: ConditionSpec
    contents: dict[str, bytes]
    figures: dict[str, Any]
    out_of_fold: Judged
    test: Judged
    kept_fold: str
    """It gave the conformal quantiles; the voters that ship did not learn from it."""
    heard: frozenset[str]
    """Fingerprints of what was trained on (``cough.heard``)."""


def read_condition(path: Path) -> ConditionConfig:
    """A condition's TOML file.

    Raises
    ------
    ManifestInvalid : the file cannot be read, or does not describe a condition
    """
    try:
        return ConditionConfig.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise errors.ManifestInvalid(f"{path} cannot be read: {error.strerror}.") from error
    except ValidationError as error:
        raise errors.ManifestInvalid(f"{path} does not describe a condition: {in_a_line(error)}.") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise errors.ManifestInvalid(f"{path} does not describe a condition: {error}.") from error


def _in_order(fold: str) -> tuple[float, str]:
    """10 comes after 9; what is no number comes last, by its letters."""
    return (int(fold), "") if fold.isdecimal() else (float("inf"), fold)


def train_condition(
    config: ConditionConfig, data: Recordings, bundle: Bundle, *, symptoms: SymptomSpec | None = None
) -> Condition:
    """Fit, calibrate and judge the voters and their mediator.

    Parameters
    ----------
    data : what ``collect`` gave for this config and bundle
    symptoms : a symptom voter to set beside them

    Raises
    ------
    ManifestInvalid : the test fold, or the training folds but the last, lack a class, or those have one in
        a single fold; fewer than three training folds; somebody, or one sound, in two folds; a sound of two
        classes
    BundleIncompatible : a network voter of an encoder that is not this project's
    """
    n = len(config.classes)
    check_apart(data, config.name)
    tested = data.folds == config.test_fold
    train, test = data.pick(~tested), data.pick(tested)
    found = f"its folds are {', '.join(np.unique(data.folds).tolist())}, the test fold {config.test_fold}"
    if len(np.unique(train.folds)) < 3:
        raise errors.ManifestInvalid(f"{config.name} needs three training folds or more: {found}.")
    kept_fold = max(train.folds.tolist(), key=_in_order)
    kept = train.folds == kept_fold
    learn = train.pick(~kept)
    for part, name in ((learn, "training folds"), (test, "test fold")):
        if len(np.unique(part.labels)) < n:
            raise errors.ManifestInvalid(f"Not every class of {config.name} is in its {name}: {found}.")
    for i, word in enumerate(config.classes):
        # Each fold is left out in turn, and what is left must know every class.
        if len(there := np.unique(learn.folds[learn.labels == i])) < 2:
            raise errors.ManifestInvalid(
                f"{config.name} needs {word} in two of the folds that it learns from, "
                f"{', '.join(np.unique(learn.folds).tolist())}: it is in {', '.join(there.tolist())} alone."
            )
    encoder_file = bundle.spec.encoder.file
    kinds = voter_kinds(
        config.voters,
        learn,
        n_classes=n,
        encoder_onnx=bundle.contents[encoder_file],
        epochs=config.network_epochs,
        seed=config.seed,
    )
    voters, contents = [], {}
    inside_learn: dict[str, np.ndarray] = {}
    away: dict[str, np.ndarray] = {}
    seen: dict[str, np.ndarray] = {}
    for kind in track(
        kinds, description=f"training the voters of {config.name}", console=Console(stderr=True)
    ):
        logits, _ = cross_logits(kind, learn, n)
        slope, shifts = calibrate(logits, learn.labels)
        everywhere, models = cross_logits(kind, train, n)
        shipped = models[kept_fold]
        inside_learn[kind.name] = np.exp(log_softmax(slope * logits + shifts))
        away[kind.name] = np.exp(log_softmax(slope * everywhere + shifts))
        seen[kind.name] = np.exp(log_softmax(slope * shipped.logits(test) + shifts))
        file = f"{config.name}.{kind.name}.onnx"
        contents[file] = shipped.export(slope, shifts)
        voters.append((kind, file))

    slope, shifts = calibrate(mean_log(list(inside_learn.values())), learn.labels)
    draft = MediatorSpec(
        slope=slope,
        shifts=tuple(shifts.tolist()),
        conformal_coverage=config.coverage,
        conformal_quantiles=(1.0,) * n,
        chosen="",
        calibrated_with=models_of(
            bundle.spec, {file: hashlib.sha256(content).hexdigest() for file, content in contents.items()}
        ),
    )
    levels = _choose_level_model(learn, n, config.seed)
    out_of_fold = Judged(
        train, away, _pooled(draft, away), _cross(train.levels, train, levels, n),
        _cross(train.background, train, _linear, n),
    )  # fmt: skip
    judged = Judged(
        test, seen, _pooled(draft, seen), _fit(levels, learn.levels, learn.labels, test.levels, n),
        _fit(_linear, learn.background, learn.labels, test.background, n),
    )  # fmt: skip
    quantiles = conformal_quantiles(
        out_of_fold.mediator[kept], train.labels[kept], train.groups[kept], coverage=config.coverage
    )
    inside = inside_sets(judged, quantiles)
    mediator = draft.model_copy(
        update={
            "conformal_quantiles": quantiles,
            "chosen": (
                f"Out-of-fold scores of the {len(learn)} recordings that the voters learnt from calibrate "
                f"them and the mediator; {int(kept.sum())} others of fold {kept_fold}, of whose classes "
                "nothing was learnt (their sounds may be among the encoder's), give one quantile a class."
            ),
            "coverage_by_band": {
                str(band): (
                    int((test.bands == band).sum()),
                    round(float(inside[test.bands == band].mean()), 4),
                )
                for band in np.unique(test.bands)
            },
        }
    )
    evidence = evidence_of(judged, judged.mediator, config)
    margin = margin_over_levels(out_of_fold, out_of_fold.mediator)
    bands = tuple(band for band in config.bands if _is_judged(test, inside, band, config))
    heard = read_heard(bundle) or frozenset()
    known = sum(one in heard for one in test.fingerprints.tolist())
    answers = (
        margin[0] > 0
        and min(_people(train, n)) >= MIN_A_CLASS
        and evidence.auroc > evidence.level_only_auroc
        and not known
        and bool(bands)
    )
    spec = ConditionSpec(
        name=config.name,
        title=config.title,
        classes=config.classes,
        voters=tuple(
            VoterSpec(
                name=kind.name,
                hears=kind.hears,
                file=file,
                encoder_sha256=bundle.spec.files[encoder_file] if kind.hears == "embeddings" else None,
                window_s=WINDOW / bundle.spec.sample_rate_hz if kind.hears == "coughs" else None,
                method=kind.method,
                calibration="Slope and shifts (Platt) on out-of-fold logits of what it learnt from.",
                evidence=evidence_of(judged, seen[kind.name], config),
            )
            for kind, file in voters
        ),
        mediator=mediator,
        base_rate=round(float((train.labels > 0).mean()), 6),
        bands=bands,
        answers=answers,
        policy=_policy(config, bands, margin, known, answers=answers),
        evidence=evidence,
        symptoms=symptoms,
    )
    figures = {
        "training": {
            "recordings": {c: int((train.labels == i).sum()) for i, c in enumerate(config.classes)},
            "groups": len(np.unique(train.groups)),
            "of_those_kept_for_quantiles": int(kept.sum()),
            "left_out": data.left_out,
        },
        "out_of_fold": {
            "test_set": "training folds, each recording by heads fitted without its fold; encoder, ridge "
            "and calibration were not",
            "n_recordings": len(train),
            **ranked(train, {"auroc": out_of_fold.mediator, "level_only_auroc": out_of_fold.levels}),
            "margin_over_levels_95": margin,
            "voters": ranked(train, away),
        },
        "test": {
            **evidence.model_dump(mode="json"),
            **sets_of(judged, inside, quantiles, config),
            "heard_by_gate_or_encoder": known,
        },
    }
    final = replace(judged, mediator=_pooled(mediator, seen))
    return Condition(
        spec, contents, figures, out_of_fold, final, kept_fold, frozenset(train.fingerprints.tolist())
    )


def with_condition(bundle: Bundle, condition: Condition) -> Bundle:
    """The bundle with this condition, in the place of one of its name."""
    old = bundle.spec
    dropped = {v.file for c in old.conditions if c.name == condition.spec.name for v in c.voters}
    contents = {k: v for k, v in bundle.contents.items() if k not in dropped} | condition.contents
    known = read_heard(bundle)
    if known is not None:
        # What a dropped condition of the name was trained on stays listed: too many do no harm.
        contents[old.training.heard] = write_heard(known | condition.heard)
    conditions = [c for c in old.conditions if c.name != condition.spec.name] + [condition.spec]
    files = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(contents.items())}
    prefix = old.bundle_id.rsplit("-", 1)[0]
    identity = hashlib.sha256("".join(files.values()).encode()).hexdigest()[:12]
    spec = old.model_copy(
        update={
            "bundle_id": f"{prefix}-{identity}",
            "files": files,
            "conditions": tuple(conditions),
            "metrics": {**old.metrics, condition.spec.name: condition.figures},
        }
    )
    return Bundle(spec, "", contents)


def _is_judged(test: Recordings, inside: np.ndarray, band: str, config: ConditionConfig) -> bool:
    """Whether the test fold has enough people of a band, and its sets hold the truth as often as stated."""
    here = test.bands == band
    if min(_people(test.pick(here), len(config.classes))) < MIN_A_CLASS:
        return False
    return bool(binom.cdf(inside[here].sum(), here.sum(), config.coverage) >= CONTRADICTED)


def _people(data: Recordings, n_classes: int) -> list[int]:
    """How many of each class."""
    return [len(np.unique(data.groups[data.labels == c])) for c in range(n_classes)]


def _policy(
    config: ConditionConfig, bands: tuple[str, ...], margin: tuple[float, float], known: int, *, answers: bool
) -> str:
    sentences = []
    if unjudged := " and ".join(band for band in config.bands if band not in bands):
        sentences.append(f"Of the {unjudged} band the test fold has too little, or contradicts the sets.")
    if known:
        sentences.append(
            f"The bundle (gate, encoder, or a condition of this name before) learnt from {known} recordings "
            "of the test fold."
        )
    sentences.append(
        f"Answers only {' or '.join(f'{band}-band' for band in bands) or 'no'} recordings with a single "
        "class in the conformal set that every voter names, and only if the lower 95 % group-bootstrap bound "
        f"of (AUROC - level-only AUROC), out of fold on the training folds with {MIN_A_CLASS} people a class "
        "or more, is above 0 and the test fold, unheard by gate and encoder, does not contradict it. "
        f"Measured out of fold: {margin[0]} to {margin[1]}; so it "
        f"{'answers' if answers else 'always abstains'}."
    )
    return " ".join(sentences)


def _pooled(spec: MediatorSpec, votes: dict[str, np.ndarray]) -> np.ndarray:
    return np.array([pool(spec, list(row)) for row in zip(*votes.values(), strict=True)])


def _linear() -> ClassifierMixin:
    return make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=2_000))


def _choose_level_model(train: Recordings, n: int, seed: int) -> Callable[[], ClassifierMixin]:
    """A linear model or a forest of level statistics, whichever is better out of fold."""

    def forest() -> ClassifierMixin:
        return RandomForestClassifier(300, min_samples_leaf=10, random_state=seed)

    return max(
        (_linear, forest), key=lambda make: macro_auroc(train.labels, _cross(train.levels, train, make, n))
    )


def _fit(
    make: Callable[[], ClassifierMixin], x: np.ndarray, labels: np.ndarray, asked: np.ndarray, n: int
) -> np.ndarray:
    """(n_asked, n_classes) logarithms of probabilities."""
    model = make().fit(x, labels)
    out = np.full((len(asked), n), 1e-6)
    out[:, model.classes_] = model.predict_proba(asked)
    return np.log(np.clip(out, 1e-6, 1 - 1e-6))


def _cross(x: np.ndarray, data: Recordings, make: Callable[[], ClassifierMixin], n: int) -> np.ndarray:
    out = np.zeros((len(data), n))
    for fold in np.unique(data.folds):
        away = data.folds == fold
        out[away] = _fit(make, x[~away], data.labels[~away], x[away], n)
    return out
