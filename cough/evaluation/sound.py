"""The figures of a condition's probabilities and answers, each with its interval over subjects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from cough.evaluation.metrics import (
    auprc,
    auroc,
    brier,
    calibration_curve,
    expected_calibration_error,
    net_benefit,
    precision_recall,
    predictive_values,
    sensitivity,
    specificity,
    specificity_at_sensitivity,
    threshold_for_sensitivity,
)
from cough.evaluation.resampling import Figure, enough, intervals, rarer_class, share

Float: TypeAlias = npt.NDArray[np.float64]

WHO_TRIAGE = {"sensitivity": 0.9, "specificity": 0.7}
"""WHO 2014, target product profile of a TB triage test: minimal requirement."""
PREVALENCES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
SHARES = (1.0, 0.8, 0.6, 0.4, 0.2)
"""Of the recordings, the surest first, that the accuracy is shown of."""
THRESHOLDS = tuple(round(0.05 * k, 2) for k in range(1, 20))
"""Of the decision curve."""


def sound(y: Float, p: Float, rows: pd.DataFrame, name: str, who: npt.NDArray[Any]) -> dict[str, Any]:
    """Every figure of the probabilities ``p`` of the condition ``name``.

    Parameters
    ----------
    y, p, who : (n,) label, probability, subject
    """
    said = rows[f"said_{name}"].to_numpy(float)
    answered = np.isfinite(said)
    shares: dict[str, npt.NDArray[Any]] = {"answered": np.ones(len(y)), "accuracy_of_answers": answered}
    shares |= dict.fromkeys(("auroc", "auprc"), rarer_class(y, who))
    shares |= {f"accuracy {k}": _surest(p, k) for k in SHARES}
    for kind, k in (("sensitivity", 1), ("specificity", 0)):
        shares |= {f"{kind} {at}": y == k for at in ("at_one_half", "at_90_sensitivity", *THRESHOLDS)}
        shares[f"{kind} of_answers"] = answered & (y == k)
    found = intervals(lambda r: _figures(y[r], p[r], said[r]), who, shares=shares)
    point: dict[str, dict[str, Figure | None]] = {
        key: {kind: found[f"{kind} {key}"] for kind in ("sensitivity", "specificity")}
        for key in ("at_one_half", "at_90_sensitivity", "of_answers")
    }
    for kind, k in (("sensitivity", 1), ("specificity", 0)):
        if not enough(who[answered & (y == k)]):
            point["of_answers"][kind] = None
    at_90 = threshold_for_sensitivity(y, p, target=WHO_TRIAGE["sensitivity"])
    base_rate = float(y.mean())
    return {
        **{key: found[key] for key in ("auroc", "auprc", "brier", "brier_of_base_rate")},
        "expected_calibration_error": found["expected_calibration_error"],
        "calibration": calibration_curve(y, p),
        "operating_points": {
            "at_one_half": {"threshold": 0.5, **point["at_one_half"]},
            "at_90_sensitivity": {"threshold": at_90, **point["at_90_sensitivity"]},
            "of_answers": point["of_answers"],
        },
        "reaches_who_triage": bool(
            found["specificity at_90_sensitivity"]["low"] >= WHO_TRIAGE["specificity"]
        ),
        "answered": found["answered"],
        "accuracy_of_answers": found["accuracy_of_answers"] if enough(who[answered]) else None,
        "abstaining": [{"answered": k, "accuracy": found[f"accuracy {k}"]} for k in SHARES],
        "predictive_values": [{"prevalence": q, **_values_at(found, prevalence=q)} for q in PREVALENCES],
        "net_benefit": [
            {
                "threshold": t,
                "audio": _benefit_at(found, base_rate, threshold=t),
                "everybody": found[f"everybody {t}"],
            }
            for t in THRESHOLDS
        ],
        "curve": roc(y, p),
        "precision_recall": precision_recall(y, p),
        "base_rate": base_rate,
    }


def _values_at(found: dict[str, Figure], *, prevalence: float) -> dict[str, Figure]:
    """``ppv`` and ``npv`` at 90 % sensitivity."""
    rates = found["sensitivity at_90_sensitivity"], found["specificity at_90_sensitivity"]

    def value(kind: int) -> Callable[[float, float], float]:
        return lambda sens, spec: predictive_values(
            sensitivity=sens, specificity=spec, prevalence=prevalence
        )[kind]

    return {
        name: _no_surer(found[f"{name} {prevalence}"], value(kind), *rates)
        for kind, name in enumerate(("ppv", "npv"))
    }


def _benefit_at(found: dict[str, Figure], base_rate: float, *, threshold: float) -> Figure:
    """Net benefit of the calls from a probability on."""
    odds = threshold / (1 - threshold)
    return _no_surer(
        found[f"audio {threshold}"],
        lambda sens, spec: base_rate * sens - (1 - base_rate) * (1 - spec) * odds,
        found[f"sensitivity {threshold}"],
        found[f"specificity {threshold}"],
    )


def _no_surer(figure: Figure, of: Callable[[float, float], float], sens: Figure, spec: Figure) -> Figure:
    """A figure that grows with sensitivity and specificity, no surer than either of them leaves it.

    Resampling finds no one who differs where all agree, but the intervals of the rates know that one may
    (``resampling.unanimous``).
    """
    low, high = (
        (figure[end], of(sens[end], spec["value"]), of(sens["value"], spec[end])) for end in ("low", "high")
    )
    return {"value": figure["value"], "low": float(np.nanmin(low)), "high": float(np.nanmax(high))}


def _surest(p: Float, part: float) -> npt.NDArray[np.bool_]:
    """(n,) whether a probability is among that share of those farthest from one half, ties with them."""
    sure = np.maximum(p, 1 - p)
    return np.asarray(sure >= np.sort(sure)[len(p) - max(1, round(part * len(p)))])


def _figures(y: Float, p: Float, said: Float) -> dict[str, float]:
    """Everything of one draw of rows that has an interval.

    Parameters
    ----------
    y, p : (n,) label and probability
    said : (n,) the shipped answer as 0 or 1; NaN where it abstained
    """
    target = WHO_TRIAGE["sensitivity"]
    at_90 = threshold_for_sensitivity(y, p, target=target)
    # The threshold is chosen anew in each draw: chosen on the rows that it is judged by, it is one of them.
    sens, spec = sensitivity(y, p, threshold=at_90), specificity_at_sensitivity(y, p, target=target)
    out = {
        "auroc": auroc(y, p),
        "auprc": auprc(y, p),
        "brier": brier(y, p),
        "brier_of_base_rate": brier(y, np.full(len(y), y.mean())),
        "expected_calibration_error": expected_calibration_error(y, p),
        "sensitivity at_one_half": sensitivity(y, p, threshold=0.5),
        "specificity at_one_half": specificity(y, p, threshold=0.5),
        "sensitivity at_90_sensitivity": sens,
        "specificity at_90_sensitivity": spec,
    }
    answered = np.isfinite(said)
    out["answered"] = float(answered.mean())
    out["accuracy_of_answers"] = share(said == y, answered)
    out["sensitivity of_answers"] = share((said == y) & (y == 1), answered & (y == 1))
    out["specificity of_answers"] = share((said == y) & (y == 0), answered & (y == 0))
    right = (p >= 0.5) == (y == 1)
    for k in SHARES:
        out[f"accuracy {k}"] = float(right[_surest(p, k)].mean())
    for q in PREVALENCES:
        out[f"ppv {q}"], out[f"npv {q}"] = predictive_values(sensitivity=sens, specificity=spec, prevalence=q)
    for t in THRESHOLDS:
        out[f"sensitivity {t}"] = sensitivity(y, p, threshold=t)
        out[f"specificity {t}"] = specificity(y, p, threshold=t)
        out[f"audio {t}"] = net_benefit(y, p, threshold=t)
        out[f"everybody {t}"] = net_benefit(y, np.ones(len(y)), threshold=t)
    return out


def roc(y: Float, s: Float) -> list[tuple[float, float]]:
    """(1 - specificity, sensitivity), at most 200 points."""
    limits = np.unique(np.quantile(s, np.linspace(0, 1, 200)))[::-1]
    points = [(1 - specificity(y, s, threshold=t), sensitivity(y, s, threshold=t)) for t in limits]
    return [(0.0, 0.0), *points, (1.0, 1.0)]
