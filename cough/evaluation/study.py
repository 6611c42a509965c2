"""The figures of one evaluation: the gate, every condition, and what needs no cough beside them.

Intervals resample subjects (95 %, percentile). p-values of increments are Holm's over all
comparators of a condition. Everything here is plain data: what ``metrics.json`` holds.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from cough import errors
from cough.evaluation import matching
from cough.evaluation.comparators import MISSING, NAMES, Comparator, comparators, subject_folds
from cough.evaluation.leaks import Known, leaks, looked_for
from cough.evaluation.metrics import (
    auprc,
    auroc,
    brier,
    calibration_curve,
    expected_calibration_error,
    holm,
    net_benefit,
    precision_recall,
    predictive_values,
    sensitivity,
    specificity,
    threshold_for_sensitivity,
)
from cough.evaluation.parts import splits, subgroups
from cough.evaluation.resampling import (
    MIN_A_CLASS,
    RESAMPLES,
    SEED,
    auroc_interval,
    compare,
    interval,
)
from cough.evaluation.table import GROUPS, NO_EVENT, NOBODY, Table, features, is_constant
from cough.evaluation.verdict import judge

Float: TypeAlias = npt.NDArray[np.float64]
Tick: TypeAlias = Callable[[str], None]

WHO_TRIAGE = {"sensitivity": 0.9, "specificity": 0.7}
"""WHO 2014, target product profile of a TB triage test: minimal requirement."""
PREVALENCES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
MATCHABLE = ("levels", *GROUPS)
MATCH_ON = ("levels", "age and sex", "device and channel", "source")
"""Confounders that are matched on where nobody chooses."""


def evaluate(
    table: Table,
    *,
    trained_on: Known | None = None,
    other: pd.DataFrame | None = None,
    match_on: tuple[str, ...] = (),
    tick: Tick = lambda step: None,
) -> dict[str, Any]:
    """All figures of a joined table.

    Parameters
    ----------
    trained_on : what the score's training knew, besides what the predictions say of it
    other : predictions of another model for the same recordings
    match_on : confounders, of ``MATCHABLE``; empty: those of ``MATCH_ON`` that are here
    tick : told each step's name as it begins

    Raises
    ------
    PredictionsInvalid : ``other`` has no recording of these, or ``match_on`` names what is not here
    """
    frame = table.frame
    if other is not None:
        other = frame[["recording_id"]].merge(other, how="left", on="recording_id")
        if other["outcome"].isna().all() and other["error_code"].isna().all():
            raise errors.PredictionsInvalid("The other predictions have none of these recordings.")
    for name in match_on:
        if features(frame, name) is None:
            raise errors.PredictionsInvalid(
                f"Nothing of {name!r} varies here, so nobody can be matched on it."
            )
    tick("gate")
    return {
        "format": 1,
        "bundle_ids": sorted(set(frame["bundle_id"].dropna())) if "bundle_id" in frame else [],
        "manifest_sha256": table.manifest_sha256,
        "n_manifest": table.n_manifest,
        "n_recordings": len(frame),
        "n_subjects": int(frame["subject"].nunique()),
        "n_unknown_subjects": int(frame["subject"].str.startswith(NOBODY).sum()),
        "errors": {str(k): int(v) for k, v in frame["error_code"].value_counts().items()},
        "outcomes": {str(k): int(v) for k, v in frame["outcome"].value_counts().items()},
        "gate": _gate(frame, other),
        "conditions": {
            name: _condition(frame, name, trained_on, other, match_on or MATCH_ON, tick)
            for name in table.conditions
        },
        "unlabelled_conditions": list(table.unlabelled),
        "seed": SEED,
        "resamples": RESAMPLES,
    }


def _gate(frame: pd.DataFrame, other: pd.DataFrame | None) -> dict[str, Any] | None:
    if "event" not in frame:
        return None
    events = frame["event"].fillna("").astype(str)
    rows = frame[~events.isin(NO_EVENT) & frame["error_code"].isna()]
    y = (rows["event"] == "cough").to_numpy(float)
    if not len(y) or y.min() == y.max():
        return None
    s, found = rows["cough_score"].to_numpy(float), (rows["n_events"] > 0).to_numpy(float)
    who = rows["subject"].to_numpy()
    out: dict[str, Any] = {
        "n_cough": int(y.sum()),
        "n_other": int((1 - y).sum()),
        "n_in_training": int(rows["in_training"].eq(True).sum()) if "in_training" in rows else None,
        "auroc": auroc_interval(y, s, who),
        "auprc": auprc(y, s),
        "expected_calibration_error": expected_calibration_error(y, s),
        "sensitivity": interval(lambda r: sensitivity(y[r], found[r], threshold=0.5), who),
        "specificity": interval(lambda r: specificity(y[r], found[r], threshold=0.5), who),
        "by_event": {},
        "by_source": {},
        "subgroups": subgroups(rows, y, s, who),
        "curve": _roc(y, s),
        "precision_recall": precision_recall(y, s),
        "compared": None if other is None else compare(y, s, _theirs(rows, other, "cough_score"), who),
    }
    for event, part in rows.groupby("event"):
        called = float((part["n_events"] > 0).mean())
        out["by_event"][str(event)] = {"n": len(part), "called_cough": called}
    if "source" in rows:
        for source in sorted(set(rows["source"])):
            here = (rows["source"] == source).to_numpy()
            out["by_source"][str(source)] = {
                "n_cough": int((here & (y == 1)).sum()),
                "n_other": int((here & (y == 0)).sum()),
                "sensitivity": _mean(found[here & (y == 1)]),
                "specificity": _mean(1 - found[here & (y == 0)]),
                "auroc": auroc_interval(y[here], s[here], who[here]),
            }
    return out


def _theirs(rows: pd.DataFrame, other: pd.DataFrame, column: str) -> Float:
    """The other model's figures in the order of these rows; NaN where it has none."""
    if column not in other:
        return np.full(len(rows), np.nan)
    joined = rows[["recording_id"]].merge(other, how="left", on="recording_id")
    return np.asarray(joined[column], float)


def _mean(values: Float) -> float | None:
    return float(values.mean()) if len(values) else None


def _condition(
    frame: pd.DataFrame,
    name: str,
    trained_on: Known | None,
    other: pd.DataFrame | None,
    match_on: tuple[str, ...],
    tick: Tick,
) -> dict[str, Any]:
    labelled = frame[frame[f"label_{name}"].notna()]
    rows = labelled[labelled[f"{name}_probability"].notna()].reset_index(drop=True)
    y = rows[f"label_{name}"].to_numpy(float)
    who = rows["subject"].to_numpy()
    head: dict[str, Any] = {
        "n_labelled": len(labelled),
        "n_measured": len(rows),
        "not_measured": _turned_away(labelled, name),
        "n_positive": int(y.sum()),
        "n_negative": int((1 - y).sum()),
        "n_subjects_positive": len(set(who[y == 1])),
        "n_subjects_negative": len(set(who[y == 0])),
    }
    if min(head["n_subjects_positive"], head["n_subjects_negative"]) < MIN_A_CLASS:
        return {**head, "judged": False}
    p = rows[f"{name}_probability"].to_numpy(float)
    folds = subject_folds(y, who, seed=SEED)
    tick(f"{name}: comparators")
    found = list(comparators(rows, y, folds, seed=SEED))
    tick(f"{name}: intervals")
    body: dict[str, Any] = {
        **head,
        "judged": True,
        "audio": _audio(y, p, rows, name, who),
        "comparators": _beside(y, p, who, found),
        "leaks": leaks(rows, trained_on),
        "leaks_looked_for": looked_for(rows, trained_on),
    }
    missing = [n for n in NAMES if n not in {c.name for c in found} and n != MISSING]
    body["constant"] = [n for n in missing if is_constant(rows, n)]
    body["absent"] = [n for n in missing if n not in body["constant"]]
    tick(f"{name}: matching")
    body["matched"] = _match(rows, y, p, who, match_on)
    tick(f"{name}: splits")
    body["splits"] = splits(rows, y, p, who)
    body["subgroups"] = subgroups(rows, y, p, who)
    if other is not None:
        body["compared"] = compare(y, p, _theirs(rows, other, f"{name}_probability"), who)
    else:
        body["compared"] = None
    body["verdict"] = judge(body).model_dump(mode="json")
    return body


def _turned_away(labelled: pd.DataFrame, name: str) -> dict[str, float | None]:
    """Share without a measurement, by label: where they differ, so may who is left."""
    missing = labelled[f"{name}_probability"].isna().to_numpy(float)
    y = labelled[f"label_{name}"].to_numpy(float)
    return {"positive": _mean(missing[y == 1]), "negative": _mean(missing[y == 0])}


def _audio(y: Float, p: Float, rows: pd.DataFrame, name: str, who: npt.NDArray[Any]) -> dict[str, Any]:
    at_90 = threshold_for_sensitivity(y, p, target=WHO_TRIAGE["sensitivity"])
    points = {"at_one_half": 0.5, "at_90_sensitivity": at_90}
    answered = rows[f"{name}_answer"].ne("inconclusive").to_numpy()
    said = rows[f"{name}_answer"].isin(["positive"]).to_numpy(float)
    operating = {key: _operating_point(y, p, who, limit) for key, limit in points.items()}
    sens, spec = (operating["at_90_sensitivity"][k]["value"] for k in ("sensitivity", "specificity"))
    limits = np.linspace(0.05, 0.95, 19)
    sure = np.sort(np.maximum(p, 1 - p))
    shares = [float(k) for k in (1.0, 0.8, 0.6, 0.4, 0.2)]
    right = ((p >= 0.5) == (y == 1)).astype(float)
    return {
        "auroc": interval(lambda r: auroc(y[r], p[r]), who),
        "auprc": interval(lambda r: auprc(y[r], p[r]), who),
        "brier": brier(y, p),
        "brier_of_base_rate": brier(y, np.full(len(y), y.mean())),
        "expected_calibration_error": expected_calibration_error(y, p),
        "calibration": calibration_curve(y, p),
        "operating_points": operating,
        "reaches_who_triage": bool(spec >= WHO_TRIAGE["specificity"]),
        "answered": float(answered.mean()),
        "accuracy_of_answers": _mean((said[answered] == y[answered]).astype(float)),
        "abstaining": [
            {
                "answered": share,
                "accuracy": float(right[np.maximum(p, 1 - p) >= sure[int((1 - share) * len(p))]].mean()),
            }
            for share in shares
        ],
        "predictive_values": [
            {"prevalence": q, "ppv": v[0], "npv": v[1]}
            for q in PREVALENCES
            for v in [predictive_values(sensitivity=sens, specificity=spec, prevalence=q)]
        ],
        "net_benefit": [
            {
                "threshold": float(t),
                "audio": net_benefit(y, p, threshold=float(t)),
                "everybody": net_benefit(y, np.ones(len(y)), threshold=float(t)),
            }
            for t in limits
        ],
        "curve": _roc(y, p),
    }


def _operating_point(y: Float, p: Float, who: npt.NDArray[Any], limit: float) -> dict[str, Any]:
    return {
        "threshold": limit,
        "sensitivity": interval(lambda r: sensitivity(y[r], p[r], threshold=limit), who),
        "specificity": interval(lambda r: specificity(y[r], p[r], threshold=limit), who),
    }


def _roc(y: Float, s: Float) -> list[tuple[float, float]]:
    """(1 - specificity, sensitivity), at most 200 points."""
    limits = np.unique(np.quantile(s, np.linspace(0, 1, 200)))[::-1]
    points = [(1 - specificity(y, s, threshold=t), sensitivity(y, s, threshold=t)) for t in limits]
    return [(0.0, 0.0), *points, (1.0, 1.0)]


def _beside(y: Float, p: Float, who: npt.NDArray[Any], found: list[Comparator]) -> list[dict[str, Any]]:
    out = []
    for one in found:
        scored = np.isfinite(one.scores)
        figures = _gap(y[scored], p[scored], one.scores[scored], who[scored])
        out.append({"name": one.name, "columns": list(one.columns), **figures})
    adjusted = holm([entry["p_audio_adds"] for entry in out])
    return [{**entry, "p_audio_adds_holm": p_value} for entry, p_value in zip(out, adjusted, strict=True)]


def _gap(y: Float, p: Float, s: Float, who: npt.NDArray[Any]) -> dict[str, Any]:
    return {
        "auroc": interval(lambda r: auroc(y[r], s[r]), who),
        "audio_minus_this": interval(lambda r: auroc(y[r], p[r]) - auroc(y[r], s[r]), who),
        "p_audio_adds": _increment(y, p, s, who),
        "curve": _roc(y, s),
    }


def _increment(y: Float, p: Float, s: Float, who: npt.NDArray[Any]) -> float:
    """p-value of a likelihood-ratio test: does the audio score add to this one? One row a subject."""
    import statsmodels.api as sm
    from scipy.stats import chi2
    from statsmodels.tools.sm_exceptions import ModelWarning

    people = pd.DataFrame({"who": who, "y": y, "p": _logit(p), "s": _logit(s)}).groupby("who").mean()
    if people["y"].round().nunique() < 2 or people["p"].nunique() < 2:
        return float("nan")
    outcome = people["y"].round()

    def log_likelihood(columns: list[str]) -> float:
        x = sm.add_constant(people[columns])
        with warnings.catch_warnings():
            # A score that tells all apart, or nothing: the likelihood stands, coefficients are not used.
            warnings.simplefilter("ignore", ModelWarning)
            return float(sm.GLM(outcome, x, family=sm.families.Binomial()).fit().llf)

    return float(chi2.sf(max(0.0, 2 * (log_likelihood(["s", "p"]) - log_likelihood(["s"]))), 1))


def _logit(p: Float) -> Float:
    clipped = np.clip(p, 1e-3, 1 - 1e-3)
    return np.asarray(np.log(clipped / (1 - clipped)))


def _match(
    rows: pd.DataFrame, y: Float, p: Float, who: npt.NDArray[Any], match_on: tuple[str, ...]
) -> list[dict[str, Any]]:
    parts = {name: features(rows, name) for name in match_on}
    on = {name: part for name, part in parts.items() if part is not None}
    out = []
    coarse = {n: part for n, part in on.items() if n != "levels"}
    for chosen, method in ((coarse, matching.exact_match), (on, matching.propensity_match)):
        if not chosen:
            continue
        confounders = pd.concat(chosen.values(), axis=1)
        if matching.design(confounders).empty:
            continue
        matched = method(confounders, y, who, seed=SEED)
        r = matched.rows
        enough = len(matched.pairs) >= 2 * MIN_A_CLASS
        out.append(
            {
                "method": matched.method,
                "on": sorted(chosen),
                "n_pairs": len(matched.pairs),
                "auroc": auroc_interval(y[r], p[r], who[r]) if enough else None,
                "balance": [{"name": b.name, "before": b.before, "after": b.after} for b in matched.balance],
            }
        )
    return out
