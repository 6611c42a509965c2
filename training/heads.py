"""Train the heads: one ridge-logistic layer on embeddings, calibrated, with its evidence.

For COVID-19 the recordings are those of one call centre (covid19-cough, CC0), because in the whole
set the channel already tells the status. Beside every figure stands what six level statistics alone
reach in the same folds, by a linear model or a forest, whichever is better out of fold. Intervals
resample groups; in covid19-cough each recording is its own group, so where one person stands behind
several they are too narrow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from rich.progress import track
from sklearn.base import ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from cough.audio import Waveform
from cough.bundle import Evidence
from cough.encoder import Encoder
from cough.evaluation.baselines import level_statistics
from cough.evaluation.metrics import auroc, expected_calibration_error, group_bootstrap
from cough.gate import CoughGate
from training.corpus import Corpus
from training.export import PARITY_HEAD, ParityError, export_head, run_onnx
from training.scoring import sigmoid
from training.waves import Waves

RIDGES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
"""Inverse regularisation strengths tried on standardised embeddings."""
COVERAGE = 0.9


@dataclass(frozen=True)
class HeadData:
    """One row a recording in which the gate found a cough."""

    embeddings: np.ndarray
    """(n, embedding_size): mean over the recording's coughs."""
    levels: np.ndarray
    """(n, 6)."""
    labels: np.ndarray
    """(n,) 0 negative, 1 positive."""
    folds: np.ndarray
    groups: tuple[str, ...]
    turned_away: int
    """Recordings without a single gated cough."""

    def pick(self, keep: np.ndarray) -> HeadData:
        """The rows where ``keep`` holds."""
        groups = tuple(g for g, k in zip(self.groups, keep, strict=True) if k)
        return HeadData(
            self.embeddings[keep], self.levels[keep], self.labels[keep], self.folds[keep], groups, 0
        )


@dataclass(frozen=True)
class Head:
    """A trained head, ready for the bundle."""

    onnx: bytes
    weight: np.ndarray
    bias: float
    conformal_quantiles: tuple[float, float]
    answers: bool
    evidence: Evidence
    figures: dict[str, object]


def collect(
    corpus: Corpus, waves: Waves, rows: np.ndarray, labels: np.ndarray, gate: CoughGate, encoder: Encoder
) -> HeadData:
    """Gate and embed recordings with the parts that the screener uses."""
    kept, embeddings, levels = [], [], []
    for i, row in enumerate(track(rows, description="embedding recordings")):
        waveform = Waveform.from_samples(waves.samples(int(row)), rate_hz=16_000)
        events = gate.detect(waveform.samples).events
        if events:
            kept.append(i)
            embeddings.append(encoder.embed(waveform.samples, events).mean(axis=0, dtype=np.float64))
            levels.append(level_statistics(waveform.samples))
    recordings = [corpus.recordings[rows[i]] for i in kept]
    return HeadData(
        np.array(embeddings, np.float32),
        np.array(levels),
        labels[kept],
        np.array([r.fold for r in recordings]),
        tuple(r.group_id for r in recordings),
        len(rows) - len(kept),
    )


def covid_rows(corpus: Corpus, *, licences: str = "all") -> tuple[np.ndarray, np.ndarray]:
    """Call-centre recordings with an undisputed status: (rows, labels)."""
    rows = corpus.where(
        lambda r: (
            (licences == "all" or r.licence_class == "open")
            and r.source == "ru_covid19_cough"
            and r.channel == "call-center"
            and not r.label_conflict
            and r.covid_status in ("positive", "negative")
        )
    )
    return rows, np.array([corpus.recordings[r].covid_status == "positive" for r in rows], dtype=int)


def train_head(data: HeadData, *, test_fold: int, test_set: str, seed: int) -> Head:
    """Fit, calibrate and judge one binary head.

    The ridge strength, the calibration and the conformal quantiles come from out-of-fold scores
    of the other folds; calibration and quantiles from different halves of them. The head may answer
    only if, out of fold, the lower end of the 95 % group-bootstrap interval of (its AUROC - that of
    level statistics) is above 0; the test fold gives the evidence, and a veto where its AUROC is
    not above the baseline's.
    """
    train, test = data.pick(data.folds != test_fold), data.pick(data.folds == test_fold)
    ridge, out_of_fold = _choose_ridge(train)
    level_model, levels_out_of_fold = _choose_level_model(train, seed)
    first = _first_half(train.groups, seed)
    slope, shift = platt(out_of_fold[first], train.labels[first])
    calibrated = sigmoid(slope * out_of_fold + shift)

    model = _model(ridge).fit(train.embeddings, train.labels)
    weight, bias = _fold(model, slope, shift)
    onnx = export_head(weight, bias, name="head")
    _check_head(onnx, data.embeddings, model, slope, shift, seed)

    probability = sigmoid(test.embeddings @ weight + bias)
    level_score = _scores(level_model().fit(train.levels, train.labels), test.levels)
    margin = _interval_of_margin(train, out_of_fold, levels_out_of_fold, seed)
    evidence = Evidence(
        test_set=test_set,
        n_recordings=len(test.labels),
        n_positive=int(test.labels.sum()),
        auroc=round(auroc(test.labels, probability), 4),
        auroc_95=_auroc_interval(test, probability, seed),
        level_only_auroc=round(auroc(test.labels, level_score), 4),
        level_only_auroc_95=_auroc_interval(test, level_score, seed),
        margin_95=_interval_of_margin(test, probability, level_score, seed),
    )
    quantiles = conformal_quantiles(calibrated[~first], train.labels[~first], coverage=COVERAGE)
    inside = np.where(test.labels == 1, 1 - probability <= quantiles[1], probability <= quantiles[0])
    figures: dict[str, object] = {
        "out_of_fold": {
            "n_recordings": len(train.labels),
            "auroc": round(auroc(train.labels, out_of_fold), 4),
            "level_only_auroc": round(auroc(train.labels, levels_out_of_fold), 4),
            "margin_over_levels_95": margin,
            "ridge": ridge,
        },
        "test": {
            **evidence.model_dump(),
            "expected_calibration_error": round(expected_calibration_error(test.labels, probability), 4),
            "coverage_of_sets": round(float(inside.mean()), 4),
            "share_with_single_answer": round(_share_single(probability, quantiles), 4),
        },
        "turned_away_by_gate": data.turned_away,
    }
    answers = margin[0] > 0 and evidence.auroc > evidence.level_only_auroc
    return Head(onnx, weight, bias, quantiles, answers, evidence, figures)


def conformal_quantiles(
    probability: np.ndarray, labels: np.ndarray, *, coverage: float
) -> tuple[float, float]:
    """Per-class conformal quantile of 1 - p(true class).

    The ceil((n + 1) coverage)-th smallest of n scores; 1 where n is too small for the coverage.
    """
    quantiles = []
    for label in (0, 1):
        p = probability[labels == label]
        scores = np.sort(p if label == 0 else 1 - p)
        rank = int(np.ceil((len(scores) + 1) * coverage))
        quantiles.append(float(scores[rank - 1]) if rank <= len(scores) else 1.0)
    return quantiles[0], quantiles[1]


def platt(scores: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Slope and shift of a logistic calibration (Platt 1999).

    Scores that point the wrong way know nothing: slope 0, and the shift gives the base rate.
    """
    model = LogisticRegression(C=1e6, max_iter=1_000).fit(scores[:, None], labels)
    slope, shift = float(model.coef_[0, 0]), float(model.intercept_[0])
    if slope > 0:
        return slope, shift
    rate = float(np.mean(labels))
    return 0.0, float(np.log(rate / (1 - rate)))


def _first_half(groups: Sequence[str], seed: int) -> np.ndarray:
    """(n,) True for a random half of the groups."""
    names, inverse = np.unique(np.asarray(groups), return_inverse=True)
    chosen = np.random.default_rng([seed, 11]).permutation(len(names)) < len(names) / 2
    return np.asarray(chosen[inverse])


def _model(ridge: float) -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(C=ridge, max_iter=2_000))


def _choose_level_model(train: HeadData, seed: int) -> tuple[Callable[[], ClassifierMixin], np.ndarray]:
    """The better of two models of level statistics out of fold, and its out-of-fold scores."""
    candidates: tuple[Callable[[], ClassifierMixin], ...] = (
        lambda: make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=2_000)),
        lambda: RandomForestClassifier(300, min_samples_leaf=10, random_state=seed),
    )
    scored = [(make, _cross_scores(train.levels, train, make)) for make in candidates]
    return max(scored, key=lambda pair: auroc(train.labels, pair[1]))


def _scores(model: ClassifierMixin, features: np.ndarray) -> np.ndarray:
    """Log-odds of the second class, whatever kind of model."""
    p = np.clip(model.predict_proba(features)[:, 1], 1e-6, 1 - 1e-6)
    return np.asarray(np.log(p / (1 - p)))


def _choose_ridge(train: HeadData) -> tuple[float, np.ndarray]:
    scored = [(r, _cross_scores(train.embeddings, train, lambda r=r: _model(r))) for r in RIDGES]
    return max(scored, key=lambda pair: auroc(train.labels, pair[1]))


def _cross_scores(features: np.ndarray, data: HeadData, make: Callable[[], ClassifierMixin]) -> np.ndarray:
    """Log-odds for each fold from a model that did not see it."""
    scores = np.zeros(len(data.labels))
    for fold in np.unique(data.folds):
        out = data.folds == fold
        scores[out] = _scores(make().fit(features[~out], data.labels[~out]), features[out])
    return scores


def _fold(model: Pipeline, slope: float, shift: float) -> tuple[np.ndarray, float]:
    """Scaling, ridge layer and calibration as one weight vector and bias, in float64."""
    scaler, logistic = model[0], model[1]
    weight = slope * logistic.coef_[0] / scaler.scale_
    bias = slope * logistic.intercept_[0] + shift - float(weight @ scaler.mean_)
    return weight, float(bias)


def _check_head(
    onnx: bytes, embeddings: np.ndarray, model: Pipeline, slope: float, shift: float, seed: int
) -> None:
    """At least 1,000 rows through ONNX Runtime and through the pipeline it was folded from."""
    random = np.random.default_rng(seed)
    extra = embeddings[random.integers(len(embeddings), size=max(0, 1_000 - len(embeddings)))]
    rows = np.concatenate([embeddings, extra + 0.01 * random.standard_normal(extra.shape)]).astype(np.float32)
    expected = sigmoid(slope * model.decision_function(rows.astype(np.float64)) + shift)
    worst = float(np.abs(run_onnx(onnx, rows)[:, 0] - expected).max())
    if not worst <= PARITY_HEAD:
        raise ParityError(f"the exported head differs from its origin by {worst:.2g}")


def _auroc_interval(data: HeadData, scores: np.ndarray, seed: int) -> tuple[float, float]:
    low, high = group_bootstrap(lambda rows: auroc(data.labels[rows], scores[rows]), data.groups, seed=seed)
    return round(low, 4), round(high, 4)


def _interval_of_margin(
    data: HeadData, audio: np.ndarray, levels: np.ndarray, seed: int
) -> tuple[float, float]:
    low, high = group_bootstrap(
        lambda rows: auroc(data.labels[rows], audio[rows]) - auroc(data.labels[rows], levels[rows]),
        data.groups,
        seed=seed,
    )
    return round(low, 4), round(high, 4)


def _share_single(probability: np.ndarray, quantiles: tuple[float, float]) -> float:
    size = (probability <= quantiles[0]).astype(int) + (1 - probability <= quantiles[1]).astype(int)
    return float((size == 1).mean())
