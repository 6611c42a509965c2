"""What a gate's clip scores are worth, pooled and by source and event, mn04's beside every figure.

Works on any rows and scores: the shipped bundle on fold 5, or a gate that never heard a source. Figures
of rank (AUROC, specificity at 95 % sensitivity) set a source's coughs against *all* other sounds, and all
coughs against one event; only "AUROC inside" sets them against the other sounds of their own source.
Figures at the threshold count the source's or the event's own clips. mn04 comes
without a threshold, so it gets the highest one at which it finds as many of these coughs as the gate does:
chosen on the very clips that it is judged by, which favours mn04.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from cough.evaluation.metrics import (
    auroc,
    expected_calibration_error,
    group_bootstrap,
    sensitivity,
    specificity,
    specificity_at_sensitivity,
    threshold_for_sensitivity,
)
from cough.evaluation.resampling import rarer_class, unanimous
from training.corpus import VOCAL_HARD, Corpus, Teacher
from training.scoring import sigmoid

TARGET = 0.95
"""Sensitivity at which specificities are compared, whatever the shipped threshold."""
TITLES = {
    "auroc": "AUROC",
    "auroc_hard": "AUROC, hard",
    "specificity_at_95_sensitivity": "specificity at 95 % sensitivity",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "false_rejects": "false rejects",
    "false_accepts": "false accepts",
    "expected_calibration_error": "expected calibration error",
}
"""Every pooled figure, as pages call it."""
INSIDE = {"auroc_inside": "AUROC inside the source"}
"""What a source has besides."""


@dataclass(frozen=True)
class Detector:
    """One detector's view of the clips."""

    scores: np.ndarray
    """(n,) float in [0, 1], higher means cough."""
    threshold: float

    @property
    def accepted(self) -> np.ndarray:
        """Whether each clip counts as a cough; (n,) bool."""
        return np.asarray(self.scores >= self.threshold)


@dataclass(frozen=True)
class Clips:
    """Labelled clips as two detectors hear them; every array has one entry a clip."""

    rows: np.ndarray
    """Rows of ``Corpus.recordings``."""
    cough: np.ndarray
    hard: np.ndarray
    """Not coughs, but human sounds near to them (``VOCAL_HARD``)."""
    events: np.ndarray
    sources: np.ndarray
    groups: np.ndarray
    ours: Detector
    mn04: Detector
    """Its scores are the sigmoid of its highest "Cough" logit, as calibrated on AudioSet."""

    @property
    def detectors(self) -> dict[str, Detector]:
        """By the names that tables use."""
        return {"ours": self.ours, "mn04": self.mn04}

    @property
    def asked(self) -> dict[str, Detector]:
        """Those that heard every clip: without a teacher's outputs, ours alone."""
        return {name: one for name, one in self.detectors.items() if not _unheard(one)}


def hear(
    corpus: Corpus, teacher: Teacher, rows: np.ndarray, scores: np.ndarray, *, threshold: float
) -> Clips:
    """Labels and both detectors' scores of these rows; parameters and errors as ``gate_table``."""
    recordings = [corpus.recordings[row] for row in rows]
    if any(r.is_cough is None for r in recordings):
        raise ValueError("every row must be labelled cough or not")
    cough = np.array([r.is_cough for r in recordings], dtype=bool)
    if cough.all() or not cough.any():
        raise ValueError("the rows must hold coughs and other sounds")
    ours = Detector(np.asarray(scores, np.float64), float(threshold))
    found = float(ours.accepted[cough].mean())
    heard = sigmoid(teacher.clip_scores(len(corpus.recordings))[rows].astype(np.float64))
    events = np.array([r.event for r in recordings])
    return Clips(
        np.asarray(rows),
        cough,
        np.isin(events, sorted(VOCAL_HARD)),
        events,
        np.array([r.source for r in recordings]),
        np.array([r.group_id for r in recordings]),
        ours,
        Detector(heard, threshold_for_sensitivity(cough, heard, target=found)),
    )


def gate_table(
    corpus: Corpus,
    teacher: Teacher,
    rows: np.ndarray,
    scores: np.ndarray,
    *,
    threshold: float,
    resamples: int = 1_000,
    seed: int = 0,
) -> dict[str, Any]:
    """Every figure of a gate on these clips, ready for JSON.

    Parameters
    ----------
    rows : (n,) int, rows of ``corpus.recordings``, each labelled cough or not
    scores : (n,) clip scores of the gate, probabilities, in the order of ``rows``
    threshold : score from which the gate calls a clip a cough
    resamples, seed : of the group bootstrap behind the ``*_95`` intervals

    Returns
    -------
    dict : ``pooled``, ``by_source`` and ``by_event`` hold rows: ``coughs`` and ``others`` (clips), then
        ``ours`` and ``mn04`` with the same figures. None where there are no clips to count.

    Raises
    ------
    ValueError : a clip without a label, or not both coughs and other sounds
    """
    clips = hear(corpus, teacher, rows, scores, threshold=threshold)
    cough, events, sources = clips.cough, clips.events, clips.sources
    everything = np.ones_like(cough)
    pooled = _row(clips, ranked=everything, counted=everything)
    for name, detector in clips.detectors.items():
        pooled[name]["expected_calibration_error"] = (
            None if _unheard(detector) else _rounded(expected_calibration_error(cough, detector.scores))
        )
        pooled[name] |= _intervals(detector, clips, resamples=resamples, seed=seed)
    pooled["margin_over_mn04"] = _margins(clips, resamples=resamples, seed=seed)
    return {
        "threshold": clips.ours.threshold,
        "mn04_threshold": None if _unheard(clips.mn04) else round(clips.mn04.threshold, 6),
        "groups": len(set(clips.groups)),
        "resamples": resamples,
        "pooled": pooled,
        "by_source": {str(source): _source_row(clips, sources == source) for source in np.unique(sources)},
        "by_event": {
            str(event): _row(clips, ranked=cough | (events == event), counted=events == event)
            for event in np.unique(events[~cough])
        },
    }


def _unheard(detector: Detector) -> bool:
    """Whether a detector was not asked about every clip, so that its figures would be of other clips."""
    return bool(np.isnan(detector.scores).any())


def _row(clips: Clips, *, ranked: np.ndarray, counted: np.ndarray) -> dict[str, Any]:
    """Figures of rank among the clips of ``ranked``, figures at the threshold on those of ``counted``."""
    cough = clips.cough
    row: dict[str, Any] = {"coughs": int((cough & counted).sum()), "others": int((~cough & counted).sum())}
    for name, detector in clips.detectors.items():
        row[name] = _ranks(detector, clips, ranked) | _counts(detector, cough, counted)
    return row


def _source_row(clips: Clips, inside: np.ndarray) -> dict[str, Any]:
    """A source's coughs against all other sounds, and against its own: the same phones, often people."""
    row = _row(clips, ranked=~clips.cough | inside, counted=inside)
    for name, detector in clips.detectors.items():
        row[name]["auroc_inside"] = _ranks(detector, clips, inside)["auroc"]
    return row


def _ranks(detector: Detector, clips: Clips, ranked: np.ndarray) -> dict[str, float | None]:
    cough = clips.cough
    if _unheard(detector) or not (cough & ranked).any() or not (~cough & ranked).any():
        return dict.fromkeys(("auroc", "auroc_hard", "specificity_at_95_sensitivity"))
    y, s = cough[ranked], detector.scores[ranked]
    near = (cough | clips.hard)[ranked]
    return {
        "auroc": _rounded(auroc(y, s)),
        "auroc_hard": _rounded(auroc(y[near], s[near])),
        "specificity_at_95_sensitivity": _rounded(specificity_at_sensitivity(y, s, target=TARGET)),
    }


def _counts(detector: Detector, cough: np.ndarray, counted: np.ndarray) -> dict[str, float | int | None]:
    if _unheard(detector):
        return dict.fromkeys(("sensitivity", "specificity", "false_rejects", "false_accepts"))
    coughs, others = detector.accepted[cough & counted], detector.accepted[~cough & counted]
    return {
        "sensitivity": _rounded(float(coughs.mean())) if len(coughs) else None,
        "specificity": _rounded(float(1 - others.mean())) if len(others) else None,
        "false_rejects": int((~coughs).sum()),
        "false_accepts": int(others.sum()),
    }


def _intervals(
    detector: Detector, clips: Clips, *, resamples: int, seed: int
) -> dict[str, list[float] | None]:
    """95 % group-bootstrap interval of every pooled figure; that of ``x`` is called ``x_95``."""
    limit, near = detector.threshold, clips.cough | clips.hard
    figures: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
        "auroc": auroc,
        "specificity_at_95_sensitivity": partial(specificity_at_sensitivity, target=TARGET),
        "sensitivity": partial(sensitivity, threshold=limit),
        "specificity": partial(specificity, threshold=limit),
        "expected_calibration_error": expected_calibration_error,
    }
    rarer = rarer_class(clips.cough, clips.groups)
    among = {"sensitivity": clips.cough, "specificity": ~clips.cough, "expected_calibration_error": None}
    out = {
        f"{name}_95": bootstrapped(
            figure,
            clips.cough,
            clips.groups,
            detector.scores,
            resamples=resamples,
            seed=seed,
            among=among.get(name, rarer),
            distance=figure is expected_calibration_error,
        )
        for name, figure in figures.items()
    }
    out["auroc_hard_95"] = bootstrapped(
        auroc,
        clips.cough[near],
        clips.groups[near],
        detector.scores[near],
        resamples=resamples,
        seed=seed,
        among=rarer_class(clips.cough[near], clips.groups[near]),
    )
    return out


def _margins(clips: Clips, *, resamples: int, seed: int) -> dict[str, list[float] | None]:
    """95 % intervals of our AUROC minus mn04's, both on the same resampled groups."""

    def margin(cough: np.ndarray, scores: np.ndarray) -> float:
        return auroc(cough, scores[:, 0]) - auroc(cough, scores[:, 1])

    both = np.stack([clips.ours.scores, clips.mn04.scores], axis=1)
    near = clips.cough | clips.hard
    return {
        "auroc_95": bootstrapped(margin, clips.cough, clips.groups, both, resamples=resamples, seed=seed),
        "auroc_hard_95": bootstrapped(
            margin, clips.cough[near], clips.groups[near], both[near], resamples=resamples, seed=seed
        ),
    }


def bootstrapped(
    figure: Callable[[np.ndarray, np.ndarray], float],
    cough: np.ndarray,
    groups: np.ndarray,
    scores: np.ndarray,
    *,
    resamples: int = 1_000,
    seed: int = 0,
    among: np.ndarray | None = None,
    distance: bool = False,
) -> list[float] | None:
    """95 % interval of ``figure(cough, scores)``, groups resampled; draws without both kinds do not count.

    Parameters
    ----------
    among : of a share, (n,) the clips that it is of; of an area under a curve, the ``rarer_class``: where all
        of them agree, the interval is that of so many groups (``unanimous``)
    distance : the figure is one that chance makes larger, see ``group_bootstrap``
    """
    if cough.all() or np.isnan(scores).any():
        return None

    def drawn(i: np.ndarray) -> float:
        y = cough[i]
        return float("nan") if y.all() or not y.any() else figure(y, scores[i])

    bounds = group_bootstrap(drawn, groups.tolist(), seed=seed, resamples=resamples, distance=distance)
    if among is not None:
        bounds = unanimous(*bounds, n=len(set(groups[among].tolist())))
    return [round(bound, 4) for bound in bounds]


def _rounded(x: float) -> float | None:
    """Four decimals; None for NaN, which JSON does not have."""
    return None if np.isnan(x) else round(float(x), 4)


def as_markdown(table: dict[str, Any]) -> str:
    """The table for a page: pooled, cough sources, other sources, events; the worst on top."""
    pooled, theirs = table["pooled"], table["mn04_threshold"]
    lines = [
        f"{pooled['coughs']} cough clips against {pooled['others']} others, from {table['groups']} groups "
        f"(people or originals). Ours at the threshold {table['threshold']:.4g}; mn04 at "
        f"{'-' if theirs is None else f'{theirs:.3g}'}, where it finds as many of these coughs. Intervals "
        f"are 95 %, by groups. Cells below the first table: ours / mn04.",
        "",
        "| pooled | ours | mn04 | ours minus mn04 |",
        "|---|---|---|---|",
    ]
    for figure, title in TITLES.items():
        cells = [
            f"{number(pooled[name].get(figure))} {interval(pooled[name].get(f'{figure}_95'))}".strip()
            for name in ("ours", "mn04")
        ]
        cells.append(interval(pooled["margin_over_mn04"].get(f"{figure}_95")) or "-")
        lines.append("| " + " | ".join([title, *cells]) + " |")

    def worst(row: dict[str, Any]) -> tuple[float, int]:
        return row["ours"]["specificity"], -row["others"]

    by_source, by_event = table["by_source"], table["by_event"]
    with_coughs = {name: row for name, row in by_source.items() if row["coughs"]}
    without = {name: row for name, row in by_source.items() if not row["coughs"]}
    ranked, counted = ("auroc", "specificity_at_95_sensitivity"), ("specificity", "false_accepts")
    lines += _section(
        "source of coughs, ranked against all others",
        sorted(with_coughs.items(), key=lambda item: item[1]["ours"]["sensitivity"]),
        ("coughs", "others"),
        ("auroc", "auroc_hard", *INSIDE, ranked[1], "sensitivity", "false_rejects", *counted),
    )
    lines += _section(
        "source without coughs",
        sorted(without.items(), key=lambda item: worst(item[1])),
        ("others",),
        counted,
    )
    lines += _section(
        "event, ranked against all coughs",
        sorted(by_event.items(), key=lambda item: worst(item[1])),
        ("others",),
        (*ranked, *counted),
    )
    return "\n".join(lines) + "\n"


def _section(
    title: str, rows: Iterable[tuple[str, dict[str, Any]]], counts: Sequence[str], figures: Sequence[str]
) -> list[str]:
    """Lines of one table, a blank one first."""
    lines = [
        "",
        "| " + " | ".join([title, *counts, *((TITLES | INSIDE)[figure] for figure in figures)]) + " |",
    ]
    lines.append("|---" * (1 + len(counts) + len(figures)) + "|")
    for name, row in rows:
        cells = [
            number(row["ours"].get(figure)) + " / " + number(row["mn04"].get(figure)) for figure in figures
        ]
        lines.append("| " + " | ".join([name, *(str(row[count]) for count in counts), *cells]) + " |")
    return lines


def number(value: float | int | None) -> str:
    """As pages write it: counts whole, others with three decimals or, if tiny, one figure."""
    if value is None:
        return "-"
    if isinstance(value, int):
        return str(value)
    return f"{value:.0e}" if 0 < abs(value) < 0.0005 else f"{value:.3f}"


def interval(bounds: Sequence[float] | None) -> str:
    """As pages write it; nothing for None."""
    return "" if bounds is None else f"({bounds[0]:.3f} to {bounds[1]:.3f})"
