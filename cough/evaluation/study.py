"""The figures of one evaluation: the gate, every condition, and what needs no cough beside them.

Intervals resample subjects (95 %, percentile), those who share a sound together. p-values of increments are
Holm's over all comparators of a condition. Everything here is plain data: what ``metrics.json`` holds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from cough import errors
from cough.evaluation import matching
from cough.evaluation.comparators import Comparator, comparators, matchable, subject_folds
from cough.evaluation.increments import increments
from cough.evaluation.leaks import Known, leaks, looked_for, met, straddling, subjects_of
from cough.evaluation.metrics import auprc, expected_calibration_error, precision_recall
from cough.evaluation.parts import splits, subgroups
from cough.evaluation.people import NOBODY, clusters
from cough.evaluation.resampling import (
    MIN_A_CLASS,
    RESAMPLES,
    SEED,
    auroc_interval,
    compare,
    intervals,
    rarer_class,
    rates,
    set_against,
)
from cough.evaluation.shortcuts import shortcuts
from cough.evaluation.sound import roc, sound
from cough.evaluation.table import (
    COUGHS,
    NO_EVENT,
    NO_PREDICTION,
    Table,
    chosen_groups,
    events,
    features,
    has_levels,
    same_or_unknown,
)
from cough.evaluation.verdict import gate_in_red, gate_in_words, judge, not_judged, why_no_auroc, why_no_gate

Float: TypeAlias = npt.NDArray[np.float64]
Tick: TypeAlias = Callable[[str], None]

BESIDE_GATE = ("levels", "device and channel", "source")
"""What may tell a cough from another sound in a corpus put together from several."""
MUCH_MISSING = 0.2
"""Share without a measurement beyond which those who are left may not be those who came."""
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
    match_on : confounders, of ``comparators.matchable``; empty: those of ``MATCH_ON`` and those with
        columns of the caller's that are here
    tick : told each step's name as it begins

    Raises
    ------
    PredictionsInvalid : ``other`` has no recording of these, or ``match_on`` names what is not here
    """
    frame = table.frame
    if other is not None:
        if not other["recording_id"].isin(frame["recording_id"]).any():
            raise errors.PredictionsInvalid("The other predictions have none of these recordings.")
        other = frame[["recording_id"]].merge(other, how="left", on="recording_id")
    _check_varies(frame, match_on)
    tick("gate")
    gate = _gate(frame, other, trained_on)
    return {
        "format": 1,
        "bundle_ids": sorted(set(frame["bundle_id"].dropna())) if "bundle_id" in frame else [],
        "manifest_sha256": table.manifest_sha256,
        "n_manifest": table.n_manifest,
        "where": list(table.where),
        "n_recordings": len(frame),
        "n_subjects": int(frame["subject"].nunique()),
        "n_unknown_subjects": int(frame["subject"].str.startswith(NOBODY).sum()),
        "errors": {str(k): int(v) for k, v in frame["error_code"].value_counts().items()},
        "outcomes": {str(k): int(v) for k, v in frame["outcome"].value_counts().items()},
        "gate": gate if isinstance(gate, dict) else None,
        "no_gate": None if isinstance(gate, dict) else gate,
        "conditions": {
            name: _condition(table, name, trained_on, other, match_on, tick) for name in table.conditions
        },
        "unlabelled_conditions": list(table.unlabelled),
        "seed": SEED,
        "resamples": RESAMPLES,
    }


def _check_varies(rows: pd.DataFrame, match_on: tuple[str, ...]) -> None:
    for name in match_on:
        if features(rows, name) is None:
            raise errors.PredictionsInvalid(
                f"Nothing of {name!r} varies here, so nobody can be matched on it."
            )


def _gate(frame: pd.DataFrame, other: pd.DataFrame | None, trained_on: Known | None) -> dict[str, Any] | str:
    """The gate's part, or why there is none; no AUROC, and why not, where only one of both kinds is here."""
    frame = frame.assign(event=events(frame))
    known = frame[~frame["event"].isin(NO_EVENT)]
    labels = (known["event"] == "cough").to_numpy(float)
    scores = known["cough_score"].where(known["error_code"].isna()).to_numpy(float)
    measured = np.isfinite(scores)
    rows, y, s = known[measured], labels[measured], scores[measured]
    if not len(y):
        return why_no_gate(len(known))
    both = 0 < y.sum() < len(y)
    who = clusters(rows)
    head: dict[str, Any] = {
        "n_cough": int(y.sum()),
        "n_other": int((1 - y).sum()),
        "n_labelled": len(known),
        "n_without_prediction": int(known["error_code"].eq(NO_PREDICTION).sum()),
        "not_measured": _turned_away(labels, scores),
        "n_in_training": _n_met(rows, trained_on),
        "n_in_two_splits": int(straddling(rows, trained_on).sum()),
        "auroc": auroc_interval(y, s, who),
        "no_auroc": None,
        "auprc": None,
        "expected_calibration_error": None,
        **_gate_rates(rows, y, s, who),
        "subgroups": subgroups(rows, y, s, who) if both else [],
        "curve": roc(y, s) if both else [],
        "precision_recall": precision_recall(y, s) if both else [],
        "compared": None if other is None else _compared(known, labels, scores, other, "cough_score"),
        "comparators": [],
    }
    if head["auroc"]:
        head |= intervals(
            lambda r: {
                "auprc": auprc(y[r], s[r]),
                "expected_calibration_error": expected_calibration_error(y[r], s[r]),
            },
            who,
            shares={"auprc": rarer_class(y, who)},
        )
        folds = subject_folds(y, who, seed=SEED)
        found = list(comparators(rows, y, folds, seed=SEED, names=BESIDE_GATE))
        head["comparators"] = _beside(y, s, who, found)
    else:
        head["no_auroc"] = why_no_auroc(head)
    head |= _not_compared(rows, BESIDE_GATE)
    head["red"] = gate_in_red(head)
    return {**head, "words": (*head["red"], *gate_in_words(head))}


def _gate_rates(rows: pd.DataFrame, y: Float, s: Float, who: npt.NDArray[Any]) -> dict[str, Any]:
    """Sensitivity and specificity at the shipped threshold: of all, by source, and by event."""
    found = (rows["n_events"] > 0).to_numpy(float)
    kinds = {"sensitivity": (found, y == 1), "specificity": (1 - found, y == 0)}
    events = {e: (rows["event"] == e).to_numpy() for e in sorted(set(rows["event"]))}
    sources = (
        {w: (rows["source"] == w).to_numpy() for w in sorted(set(rows["source"]))} if "source" in rows else {}
    )
    parts = dict(kinds)
    parts |= {f"event {e}": (found, here) for e, here in events.items()}
    for source, here in sources.items():
        parts |= {f"{kind} of {source}": (of, among & here) for kind, (of, among) in kinds.items()}
    rated = rates(parts, who)
    return {
        **{kind: rated[kind] for kind in kinds},
        "by_event": {
            str(event): {"n": int(here.sum()), "called_cough": rated[f"event {event}"]}
            for event, here in events.items()
        },
        "by_source": {
            str(source): {
                "n_cough": int((here & (y == 1)).sum()),
                "n_other": int((here & (y == 0)).sum()),
                **{kind: rated[f"{kind} of {source}"] for kind in kinds},
                "auroc": auroc_interval(y[here], s[here], who[here]),
            }
            for source, here in sources.items()
        },
    }


def _n_met(rows: pd.DataFrame, trained_on: Known | None) -> int | None:
    """How many of these the training knew; None where none was found, and little to find one by."""
    looked, n = looked_for(rows, trained_on), int(met(rows, trained_on).sum())
    return n if n or looked.people or looked.sounds else None


def _compared(labelled: pd.DataFrame, y: Float, s: Float, other: pd.DataFrame, column: str) -> dict[str, Any]:
    """The other model on the same rows, how many of them it was trained on, and whom it did not measure.

    Parameters
    ----------
    y, s : (n,) label and this model's figure of each labelled row; NaN where it has none
    """
    theirs = labelled[["recording_id"]].merge(other, how="left", on="recording_id")
    figures = theirs[column].to_numpy(float) if column in theirs else np.full(len(y), np.nan)
    known = theirs.loc[np.isfinite(s), "in_training"] if "in_training" in theirs else pd.Series(dtype=object)
    return {
        **compare(y, s, figures, clusters(labelled)),
        "n_in_training": int(known.eq(True).sum()) if known.notna().any() else None,
        "not_measured": _turned_away(y, figures),
    }


def _mean(values: Float) -> float | None:
    return float(values.mean()) if len(values) else None


def _condition(
    table: Table,
    name: str,
    trained_on: Known | None,
    other: pd.DataFrame | None,
    match_on: tuple[str, ...],
    tick: Tick,
) -> dict[str, Any]:
    column = table.conditions[name]
    # The label itself may not stand beside the sound as something that needs no cough.
    frame = table.frame if column == f"label_{name}" else table.frame.drop(columns=column)
    known = frame[frame[f"label_{name}"].notna()]
    labelled = known[events(known).isin(COUGHS)]
    labels, probabilities = (labelled[c].to_numpy(float) for c in (f"label_{name}", f"{name}_probability"))
    measured = np.isfinite(probabilities)
    rows, y, p = labelled[measured].reset_index(drop=True), labels[measured], probabilities[measured]
    who = clusters(rows)
    unused = frame.loc[events(frame).isin(COUGHS), f"unused_{name}"]
    head: dict[str, Any] = {
        "label_column": column,
        "classes": list(table.classes[name]),
        "unused_labels": {str(word): int(n) for word, n in unused[unused.ne("")].value_counts().items()},
        "n_other_sounds": len(known) - len(labelled),
        "n_labelled": len(labelled),
        "n_measured": len(rows),
        "n_without_prediction": int(labelled["error_code"].eq(NO_PREDICTION).sum()),
        "not_measured": _turned_away(labels, probabilities),
        "n_positive": int(y.sum()),
        "n_negative": int((1 - y).sum()),
        "n_subjects_positive": len(set(who[y == 1])),
        "n_subjects_negative": len(set(who[y == 0])),
        "n_unknown_subjects": int(rows["subject"].str.startswith(NOBODY).sum()),
    }
    if min(head["n_subjects_positive"], head["n_subjects_negative"]) < MIN_A_CLASS:
        return {**head, "judged": False, "verdict": not_judged(head).model_dump(mode="json")}
    folds = subject_folds(y, who, seed=SEED)
    tick(f"{name}: comparators")
    found = list(comparators(rows, y, folds, seed=SEED))
    tick(f"{name}: intervals")
    body: dict[str, Any] = {
        **head,
        "judged": True,
        "audio": sound(y, p, rows, name, who),
        "comparators": [
            {**beside, **adds}
            for beside, adds in zip(_beside(y, p, who, found), increments(y, p, who, found), strict=True)
        ],
        "not_beside": shortcuts(rows, table.stated, y, who, folds),
        "leaks": leaks(rows, trained_on),
        "in_two_splits": subjects_of(rows, straddling(rows, trained_on)),
        "leaks_looked_for": asdict(looked_for(rows, trained_on)),
    }
    body |= _not_compared(rows, matchable(rows))
    tick(f"{name}: matching")
    _check_varies(rows, match_on)
    chosen = match_on or tuple(dict.fromkeys((*MATCH_ON, *chosen_groups(rows))))
    body["matched"] = _match(rows, y, p, who, chosen)
    tick(f"{name}: splits")
    body["splits"] = splits(rows, y, p, who)
    body["subgroups"] = subgroups(rows, y, p, who)
    if other is not None:
        body["compared"] = _compared(labelled, labels, probabilities, other, f"{name}_probability")
    else:
        body["compared"] = None
    body["verdict"] = judge(body).model_dump(mode="json")
    return body


def _not_compared(rows: pd.DataFrame, groups: tuple[str, ...]) -> dict[str, list[str]]:
    """What of these groups no comparator had: what is the same for everybody, and what is not known.

    Levels are known where all are, of nearly everybody, and vary: some of them are no levels.
    """
    constant: list[str] = []
    absent = [] if has_levels(rows) else ["levels"]
    for group in groups:
        if group != "levels":
            same, unknown = same_or_unknown(rows, group)
            constant += same
            absent += unknown
    return {"constant": constant, "absent": absent}


def _turned_away(y: Float, s: Float) -> dict[str, float | bool | None]:
    """Share without a measurement, by label: where they differ, or are large, so may who is left.

    Parameters
    ----------
    y, s : (n,) label and figure of each labelled row; NaN where nothing was measured
    """
    missing = (~np.isfinite(s)).astype(float)
    parts = [missing[y == k] for k in (1, 0)]
    shares = [_mean(part) for part in parts]
    selects = any(share is not None and share > MUCH_MISSING for share in shares)
    if shares[0] is not None and shares[1] is not None:
        error = np.sqrt(sum(part.var() / len(part) for part in parts))
        selects |= bool(abs(shares[0] - shares[1]) > max(MUCH_MISSING / 4, 1.96 * error))
    return {"positive": shares[0], "negative": shares[1], "selects": selects}


def _beside(y: Float, p: Float, who: npt.NDArray[Any], found: list[Comparator]) -> list[dict[str, Any]]:
    out = []
    for one in found:
        scored = np.isfinite(one.scores)
        figures = _gap(y[scored], p[scored], one.scores[scored], who[scored])
        out.append({"name": one.name, "columns": list(one.columns), **figures})
    return out


def _gap(y: Float, p: Float, s: Float, who: npt.NDArray[Any]) -> dict[str, Any]:
    found = set_against(y, p, s, who)
    return {"auroc": found["other"], "audio_minus_this": found["this_minus_other"], "curve": roc(y, s)}


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
