"""The voters on the sound: three models, fitted apart.

``embedding``: a ridge-logistic layer on the mean embedding. ``classical``: the same on 88 spectral and
cepstral statistics (``training.classical``), which owe nothing to the encoder. ``network``: begins as the
encoder, so that it is nearer to ``embedding`` than to ``classical``, and is trained further, end to end, on
one-second windows, then put into integers: these are calibrated and judged, out of fold too.

Each is fitted to some rows and gives class logits for others; calibration (a slope, and a shift a class)
is folded into what is exported.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from cough import errors
from cough.evaluation.metrics import auroc
from training.augment import Augmenter
from training.classical import ClassicalFeatures
from training.config import AugmentConfig
from training.export import check_head_parity, check_parity, export_head, export_voter, runner
from training.networks import EncoderNetwork, unfold_encoder
from training.quantisation import quantised
from training.recordings import Recordings

RIDGES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
"""Inverse regularisation strengths tried on standardised features."""
PHONE = AugmentConfig(
    room_probability=0.0, telephone_probability=0.0, low_pass_probability=0.0, codec_probability=0.0
)
"""The network's recordings have been through rooms and telephones already."""
THREADS = 2
"""Of the network voter's training: sums in another order round otherwise, whatever the environment says."""
BATCH = 32

Hears = Literal["embeddings", "coughs"]


@dataclass(frozen=True)
class Fitted:
    """A model of one voter."""

    logits: Callable[[Recordings], np.ndarray]
    """(n, n_classes) before calibration."""
    export: Callable[[float, np.ndarray], bytes]
    """ONNX with a slope and shifts (n_classes,) folded in."""


@dataclass(frozen=True)
class VoterKind:
    """How one kind of voter is made."""

    name: str
    hears: Hears
    method: str
    fit: Callable[[Recordings, int], Fitted]
    """Rows and number of classes."""


def voter_kinds(
    names: tuple[str, ...], train: Recordings, *, n_classes: int, encoder_onnx: bytes, epochs: int, seed: int
) -> tuple[VoterKind, ...]:
    """The named voters; a ridge is chosen out of fold on ``train``, never on what is fitted later.

    Raises
    ------
    BundleIncompatible : a network voter is asked for, which trains this project's encoder further, and
        the encoder is another
    """
    made = {"embedding": _embedding, "classical": _classical}
    out = []
    for name in names:
        if name == "network":
            out.append(_network(encoder_onnx, epochs=epochs, seed=seed))
        else:
            out.append(made[name](train, n_classes))
    return tuple(out)


def cross_logits(kind: VoterKind, data: Recordings, n_classes: int) -> tuple[np.ndarray, dict[str, Fitted]]:
    """(n, n_classes): each fold by a model that did not see it; and those models, by that fold."""
    out, models = np.zeros((len(data), n_classes)), {}
    for fold in np.unique(data.folds):
        away = data.folds == fold
        models[str(fold)] = kind.fit(data.pick(~away), n_classes)
        out[away] = models[str(fold)].logits(data.pick(away))
    return out, models


def calibrate(logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """(slope, shifts): softmax(slope x logits + shifts) fitted to the labels (Platt 1999; several classes).

    Logits that point the wrong way know nothing: slope 0, and the shifts give the base rates.
    """
    n = logits.shape[1]
    rates = np.log(np.bincount(labels, minlength=n) / len(labels) + 1e-9)

    def loss(x: np.ndarray) -> float:
        z = log_softmax(x[0] * logits + np.concatenate([[0.0], x[1:]]))
        return float(-z[np.arange(len(labels)), labels].mean() + 1e-6 * np.square(x).sum())

    found = minimize(loss, np.concatenate([[1.0], rates[1:] - rates[0]]), method="BFGS")
    slope, shifts = float(found.x[0]), np.concatenate([[0.0], found.x[1:]])
    return (slope, shifts) if slope > 0 else (0.0, rates - rates[0])


ROUNDING = 1e-4
"""Graphs in float32 give scores that differ by less: the recording that sets a quantile must stay inside."""


def conformal_quantiles(
    probability: np.ndarray, labels: np.ndarray, groups: np.ndarray, *, coverage: float
) -> tuple[float, ...]:
    """Per-class split-conformal quantile of 1 - p(true class); (n, n_classes) -> (n_classes,).

    The ceil((n + 1) coverage)-th smallest of the scores of n people, and ``ROUNDING`` more; 1 where n is too
    small for the coverage. Of somebody's several recordings the one that is least like the class counts:
    recordings of one person are not exchangeable with those of n.
    """
    quantiles = []
    for label in range(probability.shape[1]):
        here = labels == label
        people, who = np.unique(groups[here], return_inverse=True)
        scores = np.zeros(len(people))
        np.maximum.at(scores, who, 1 - probability[here, label])
        scores.sort()
        rank = int(np.ceil((len(scores) + 1) * coverage))
        quantile = scores[rank - 1] + ROUNDING if rank <= len(scores) else 1.0
        quantiles.append(float(np.clip(quantile, 0, 1)))
    return tuple(quantiles)


def log_softmax(z: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    z = z - z.max(axis=-1, keepdims=True)
    return np.asarray(z - np.log(np.exp(z).sum(axis=-1, keepdims=True)))


def macro_auroc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Of (n, n_classes) scores: for two classes that of the second, else the mean of one against the rest."""
    n = scores.shape[1]
    if n == 2:
        return auroc(labels == 1, scores[:, 1] - scores[:, 0])
    return float(np.mean([auroc(labels == c, scores[:, c]) for c in range(n)]))


@dataclass(frozen=True)
class Linear:
    """logits = features @ weight.T + bias, scaling folded in."""

    weight: np.ndarray
    bias: np.ndarray

    @classmethod
    def fit(cls, features: np.ndarray, labels: np.ndarray, ridge: float, n_classes: int) -> Linear:
        """Ridge-logistic on standardised features (n, n_features)."""
        model = make_pipeline(StandardScaler(), LogisticRegression(C=ridge, max_iter=2_000))
        model.fit(features, labels)
        scaler, logistic = model[0], model[1]
        coef, intercept = logistic.coef_, logistic.intercept_
        if n_classes == 2:
            coef, intercept = np.vstack([0 * coef, coef]), np.append(0.0, intercept)
        weight = coef / scaler.scale_
        return cls(weight, intercept - weight @ scaler.mean_)

    def __call__(self, features: np.ndarray) -> np.ndarray:
        return np.asarray(features @ self.weight.T + self.bias)


def choose_ridge(features: np.ndarray, data: Recordings, n_classes: int) -> float:
    """The strength of ``RIDGES`` with the best AUROC out of fold; (n, n_features)."""

    def score(ridge: float) -> float:
        out = np.zeros((len(data), n_classes))
        for fold in np.unique(data.folds):
            away = data.folds == fold
            out[away] = Linear.fit(features[~away], data.labels[~away], ridge, n_classes)(features[away])
        return macro_auroc(data.labels, out)

    return max(RIDGES, key=score)


def _embedding(train: Recordings, n_classes: int) -> VoterKind:
    ridge = choose_ridge(train.embeddings, train, n_classes)

    def fit(data: Recordings, n_classes: int) -> Fitted:
        linear = Linear.fit(data.embeddings, data.labels, ridge, n_classes)
        return Fitted(
            lambda rows: linear(rows.embeddings),
            lambda slope, shifts: _export_linear(linear, slope, shifts, data.embeddings),
        )

    return VoterKind("embedding", "embeddings", f"ridge-logistic on the mean embedding, C {ridge:g}", fit)


def _export_linear(linear: Linear, slope: float, shifts: np.ndarray, asked: np.ndarray) -> bytes:
    """A head in ONNX, refused unless it gives the same probabilities for embeddings (n, n_features)."""
    onnx = export_head(slope * linear.weight, slope * linear.bias + shifts)
    check_head_parity(np.exp(log_softmax(slope * linear(asked) + shifts)), onnx, asked)
    return onnx


def _classical(train: Recordings, n_classes: int) -> VoterKind:
    module = ClassicalFeatures().eval()
    heard: dict[str, np.ndarray] = {}

    def features(data: Recordings) -> np.ndarray:
        with torch.inference_mode():
            for name, windows in zip(data.ids, data.windows, strict=True):
                if name not in heard:
                    heard[name] = module(torch.from_numpy(windows)).mean(dim=0).double().numpy()
        return np.array([heard[name] for name in data.ids])

    ridge = choose_ridge(features(train), train, n_classes)

    def fit(data: Recordings, n_classes: int) -> Fitted:
        linear = Linear.fit(features(data), data.labels, ridge, n_classes)

        def export(slope: float, shifts: np.ndarray) -> bytes:
            head = nn.Linear(linear.weight.shape[1], n_classes)
            with torch.no_grad():
                head.weight.copy_(torch.from_numpy(slope * linear.weight))
                head.bias.copy_(torch.from_numpy(slope * linear.bias + shifts))
            return _export(nn.Sequential(module, head, nn.Softmax(dim=1)), data)

        return Fitted(lambda rows: linear(features(rows)), export)

    return VoterKind(
        "classical",
        "coughs",
        f"ridge-logistic on 88 spectral and cepstral statistics of each cough, C {ridge:g}",
        fit,
    )


class _WindowNetwork(nn.Module):
    """(batch, 16000) -> logits (batch, n_classes)."""

    def __init__(self, encoder: EncoderNetwork, n_classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        size = encoder.project.out_features
        self.scale = size**0.5
        self.head = nn.Linear(size, n_classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, wave: Tensor) -> Tensor:
        return self.head(self.encoder(wave) * self.scale)


class _Calibrated(nn.Module):
    def __init__(self, network: nn.Module, slope: float, shifts: np.ndarray) -> None:
        super().__init__()
        self.network, self.slope = network, slope
        self.register_buffer("shifts", torch.tensor(shifts, dtype=torch.float32))

    def forward(self, wave: Tensor) -> Tensor:
        return torch.softmax(self.slope * self.network(wave) + self.shifts, dim=1)


def _network(encoder_onnx: bytes, *, epochs: int, seed: int) -> VoterKind:
    try:
        unfold_encoder(encoder_onnx)
    except ValueError as error:
        raise errors.BundleIncompatible(
            "The voter network is this project's encoder trained further, and the bundle has another one: "
            "leave it out of the voters."
        ) from error

    def fit(data: Recordings, n_classes: int) -> Fitted:
        network = _train_network(encoder_onnx, data, n_classes, epochs=epochs, seed=seed)
        ranges = [windows[0] for windows in data.windows]
        integers = runner(quantised(_export(network, data), ranges))

        def logits(rows: Recordings) -> np.ndarray:
            return np.array([integers(windows).mean(axis=0, dtype=np.float64) for windows in rows.windows])

        def export(slope: float, shifts: np.ndarray) -> bytes:
            return quantised(_export(_Calibrated(network, slope, shifts), data), ranges)

        return Fitted(logits, export)

    return VoterKind(
        "network", "coughs", f"the encoder trained further end to end, {epochs} epochs of one cough each", fit
    )


def _train_network(
    encoder_onnx: bytes, data: Recordings, n_classes: int, *, epochs: int, seed: int
) -> _WindowNetwork:
    """Batch norm stays folded; an epoch hears one cough, drawn anew, of each recording."""
    torch.set_num_threads(THREADS)
    torch.manual_seed(seed)
    random = np.random.default_rng([seed, 29])
    network = _WindowNetwork(unfold_encoder(encoder_onnx), n_classes)
    augment = Augmenter(PHONE, [], seed=seed)
    optimiser = torch.optim.AdamW(
        [
            {"params": network.encoder.parameters(), "lr": 2e-4},
            {"params": network.head.parameters(), "lr": 2e-3},
        ],
        weight_decay=1e-2,
    )
    steps = int(np.ceil(len(data) / BATCH))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, [2e-4, 2e-3], total_steps=epochs * steps, pct_start=0.2
    )
    labels = torch.from_numpy(data.labels)
    network.train()
    for _ in range(epochs):
        for rows in np.array_split(random.permutation(len(data)), steps):
            waves = np.stack([data.windows[i][random.integers(len(data.windows[i]))] for i in rows])
            with torch.no_grad():
                features = augment.mask(network.encoder.features(augment(torch.from_numpy(waves))))
            logits = network.head(network.encoder.embed(features) * network.scale)
            loss = nn.functional.cross_entropy(logits, labels[rows], label_smoothing=0.05)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            schedule.step()
    return network.eval()


def _export(module: nn.Module, data: Recordings) -> bytes:
    """ONNX of (batch, window) -> (batch, n_classes), refused unless it gives the same on real coughs."""
    module.eval()
    onnx = export_voter(module, window=data.windows[0].shape[1])
    check_parity(module, onnx, _some_windows(data))
    return onnx


def _some_windows(data: Recordings) -> list[np.ndarray]:
    """The first cough of about a hundred recordings."""
    return [windows[0] for windows in data.windows[:: max(1, len(data) // 100)]]
