"""What the scores of a condition are worth: figures of the bundle, each with its group-bootstrap interval."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cough.bundle import Evidence
from cough.evaluation.metrics import expected_calibration_error, sensitivity, specificity
from cough.evaluation.resampling import difference, intervals, share
from cough.mediator import prediction_set
from training.recordings import ConditionConfig, Recordings
from training.voters import macro_auroc


@dataclass(frozen=True)
class Judged:
    """Probabilities for rows that no model behind them has seen.

    Calibration apart: slopes and shifts of those out of fold were fitted to the same rows, which ranks do not
    depend on, but calibration error, sensitivity and specificity do.
    """

    data: Recordings
    voters: dict[str, np.ndarray]
    """(n, n_classes) each."""
    mediator: np.ndarray
    """(n, n_classes)."""
    levels: np.ndarray
    """(n, n_classes): from six level statistics."""
    background: np.ndarray
    """(n, n_classes): from what is heard between the coughs."""


def measured(
    figures: Callable[[np.ndarray], Mapping[str, float]],
    groups: np.ndarray,
    *,
    shares: Mapping[str, np.ndarray] | None = None,
) -> dict[str, Any]:
    """Each figure of row indices by its name, its interval, groups resampled, as ``<name>_95``; rounded.

    ``shares`` as ``intervals`` takes them.
    """
    out: dict[str, Any] = {}
    for name, figure in intervals(figures, groups, shares=shares).items():
        out[name] = round(figure["value"], 4)
        out[f"{name}_95"] = [round(figure["low"], 4), round(figure["high"], 4)]
    return out


def called(judged: Judged, probability: np.ndarray, rows: np.ndarray) -> dict[str, float]:
    """Figures of a call from one half on: anything but the first class, on these rows.

    Parameters
    ----------
    probability : (n, n_classes)
    """
    return at_one_half((judged.data.labels[rows] > 0).astype(int), 1 - probability[rows, 0])


def at_one_half(ill: np.ndarray, p: np.ndarray) -> dict[str, float]:
    """Figures of a call from a probability of one half on.

    Parameters
    ----------
    ill : (n,) 0 or 1
    p : (n,) probabilities
    """
    return {
        "sensitivity": sensitivity(ill, p, threshold=0.5),
        "specificity": specificity(ill, p, threshold=0.5),
        "expected_calibration_error": expected_calibration_error(ill, p),
    }


def shares_of(ill: np.ndarray) -> dict[str, np.ndarray]:
    """Which rows ``at_one_half`` counts shares among."""
    return {"sensitivity": ill, "specificity": ~ill}


def evidence_of(judged: Judged, probability: np.ndarray, config: ConditionConfig) -> Evidence:
    """One scorer's figures beside those of levels."""
    data = judged.data

    def figures(rows: np.ndarray) -> dict[str, float]:
        return {
            "auroc": macro_auroc(data.labels[rows], probability[rows]),
            "level_only_auroc": macro_auroc(data.labels[rows], judged.levels[rows]),
            **called(judged, probability, rows),
        }

    areas = dict.fromkeys(("auroc", "level_only_auroc"), rarest_class(data.labels, data.groups))
    return Evidence(
        test_set=config.test_set,
        n_recordings=len(data),
        n_positive=int((data.labels > 0).sum()),
        margin_95=margin_over_levels(judged, probability),
        **measured(figures, data.groups, shares={**areas, **shares_of(data.labels > 0)}),
    )


def margin_over_levels(judged: Judged, probability: np.ndarray) -> tuple[float, float]:
    """Interval of (AUROC - that of levels), both on the same resampled groups.

    Where one of them is perfect, but on so few people that the next might not be, no surer than that.
    """
    labels, groups = judged.data.labels, judged.data.groups

    def figures(rows: np.ndarray) -> dict[str, float]:
        this, levels = (macro_auroc(labels[rows], p[rows]) for p in (probability, judged.levels))
        return {"this": this, "levels": levels, "margin": this - levels}

    found = intervals(figures, groups, shares=dict.fromkeys(("this", "levels"), rarest_class(labels, groups)))
    margin = difference(found["this"], found["levels"], found["margin"])
    return round(margin["low"], 4), round(margin["high"], 4)


def rarest_class(labels: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(n,) the rows of the class with the fewest groups: where all are in order, so many have agreed."""
    sizes = {kind: len(set(groups[labels == kind].tolist())) for kind in np.unique(labels).tolist()}
    return np.isin(labels, min(sizes, key=sizes.__getitem__, default=-1))


def ranked(data: Recordings, scores: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The AUROC of each of these scores, (n, n_classes) each."""

    def figures(rows: np.ndarray) -> dict[str, float]:
        return {name: macro_auroc(data.labels[rows], one[rows]) for name, one in scores.items()}

    return measured(
        figures, data.groups, shares=dict.fromkeys(scores, rarest_class(data.labels, data.groups))
    )


def inside_sets(judged: Judged, quantiles: tuple[float, ...]) -> np.ndarray:
    """(n,) whether the conformal set holds the truth."""
    truth = judged.mediator[np.arange(len(judged.data)), judged.data.labels]
    return np.asarray(1 - truth <= np.array(quantiles)[judged.data.labels])


def sets_of(
    judged: Judged, inside: np.ndarray, quantiles: tuple[float, ...], config: ConditionConfig
) -> dict[str, Any]:
    """How often the conformal sets hold the truth, and how often they hold one class."""
    labels, groups = judged.data.labels, judged.data.groups
    single = np.array([len(prediction_set(p.tolist(), quantiles)) == 1 for p in judged.mediator])

    def whole(rows: np.ndarray) -> dict[str, float]:
        return {
            "coverage_of_sets": float(inside[rows].mean()),
            "share_with_single_answer": float(single[rows].mean()),
        }

    def by_class(rows: np.ndarray) -> dict[str, float]:
        return {name: share(inside[rows] & here[rows], here[rows]) for name, here in classes.items()}

    everybody = np.ones(len(labels), bool)
    classes = {name: labels == kind for kind, name in enumerate(config.classes)}
    return {
        **measured(
            whole, groups, shares=dict.fromkeys(("coverage_of_sets", "share_with_single_answer"), everybody)
        ),
        "coverage_of_class": measured(by_class, groups, shares=classes),
    }
