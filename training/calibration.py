"""What a gate's logits mean on corpora it never heard: calibration and threshold.

Both come from recordings of the training folds, each scored by a gate that never heard its source
(``training.loso``): inside a corpus a gate is surer of itself than it should be elsewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy.optimize import minimize

from cough.evaluation.metrics import (
    expected_calibration_error,
    sensitivity,
    specificity,
    threshold_for_sensitivity,
)
from training.clips import NOTHING_HEARD, TEACHER_HEARS_NOTHING, is_silent
from training.config import TrainingConfig
from training.corpus import Corpus, Teacher
from training.gate_table import bootstrapped, gate_table
from training.heldout import Heldout
from training.parts import deal
from training.scoring import clip_scores
from training.waves import Waves


@dataclass(frozen=True)
class Calibration:
    """How logits become scores, and from which score on a clip holds a cough."""

    slope: float
    shift: float
    threshold: float
    threshold_chosen: str
    calibration: str
    table: dict[str, Any]
    """``gate_table`` of every labelled held-out recording."""


def calibrate_on_heldout(
    corpus: Corpus, waves: Waves, teacher: Teacher, heldout: Heldout, config: TrainingConfig
) -> Calibration:
    """Fit the calibration, choose the threshold, and measure both."""
    g, recordings = config.gate, corpus.recordings
    kept = calibration_clips(corpus, waves, heldout, config)
    rows, logits = heldout.rows[kept], [heldout.logits[i] for i in kept]
    labels = np.array([recordings[r].is_cough for r in rows], dtype=int)
    slope, shift = calibrate(logits, labels, g.score_frames)
    scores = clip_scores(logits, g.score_frames, slope=slope, shift=shift)
    # No threshold should find a cough in a clip that is called one and holds none.
    unheard = (heldout.clip_scores(len(recordings), g.score_frames)[rows] < NOTHING_HEARD) & (
        teacher.clip_scores(len(recordings))[rows] < TEACHER_HEARS_NOTHING
    )
    counted = (labels == 0) | ~unheard
    wanted = threshold_for_sensitivity(labels[counted], scores[counted], target=g.target_sensitivity)
    equal = equal_error_threshold(labels[counted], scores[counted])
    threshold = round(float(np.clip(max(wanted, equal), 0.02, 0.98)), 4)
    coughs = counted & (labels == 1)
    everyone = [i for i, row in enumerate(heldout.rows) if recordings[row].is_cough is not None]
    every_score = clip_scores([heldout.logits[i] for i in everyone], g.score_frames, slope=slope, shift=shift)
    table = gate_table(corpus, teacher, heldout.rows[everyone], every_score, threshold=threshold)
    every_label = np.array([recordings[row].is_cough for row in heldout.rows[everyone]], dtype=bool)
    every_group = np.array([recordings[row].group_id for row in heldout.rows[everyone]])

    def at_target(figure: Callable[..., float]) -> tuple[float, list[float] | None]:
        there = partial(figure, threshold=wanted)
        value = round(there(every_label, every_score), 4)
        among = every_label if figure is sensitivity else ~every_label
        return value, bootstrapped(there, every_label, every_group, every_score, among=among)

    found, kept = at_target(sensitivity), at_target(specificity)
    dealt = deal(corpus, config)
    return Calibration(
        slope,
        shift,
        threshold,
        threshold_chosen=(
            f"The higher of two: {wanted:.4f}, which has {g.target_sensitivity:.0%} sensitivity, and "
            f"{equal:.4f}, where sensitivity and specificity are equal, so that neither is bought too "
            f"dearly. On {int(coughs.sum())} coughs of "
            f"{len({recordings[r].group_id for r in rows[coughs]})} groups (folds "
            f"{', '.join(map(str, config.train_folds))}; at most {g.calibration_clips_per_group} clips a "
            f"group), each scored by a gate that never heard {dealt.never_heard}. Not counted: silent "
            f"clips and {int((labels[~counted] == 1).sum())} clips labelled cough in which neither that gate "
            "nor mn04 hears one. Sensitivity there "
            f"{sensitivity(labels[counted], scores[counted], threshold=threshold):.4f}, specificity, on "
            f"{int((labels == 0).sum())} clips, {specificity(labels, scores, threshold=threshold):.4f}; the "
            "bundle's gate has heard all of these sources."
        ),
        calibration=(
            f"Logistic on frame logits (slope {slope:.4f}, shift {shift:.4f}), fitted to clip scores of the "
            f"same recordings, doubtful labels included; expected calibration error there "
            f"{expected_calibration_error(labels, scores):.4f}, and with slope and shift fitted to the other "
            f"parts of the {dealt.by} {_cross_error(dealt.part[rows], logits, labels, g.score_frames):.4f}."
        ),
        table=table
        | {
            "at_target_sensitivity": {
                "threshold": round(wanted, 4),
                "sensitivity": found[0],
                "sensitivity_95": found[1],
                "specificity": kept[0],
                "specificity_95": kept[1],
            },
            "note": f"Gates trained for fewer epochs, each without a part of the {dealt.by}; calibration and "
            "threshold are those of the bundle, chosen on at most a few of these clips a group.",
        },
    )


def equal_error_threshold(labels: np.ndarray, scores: np.ndarray) -> float:
    """The score at which sensitivity and specificity come closest to each other."""
    tried = np.unique(scores)
    missed = np.searchsorted(np.sort(scores[labels == 1]), tried, side="left") / (labels == 1).sum()
    kept = np.searchsorted(np.sort(scores[labels == 0]), tried, side="left") / (labels == 0).sum()
    return float(tried[np.argmin(np.abs((1 - missed) - kept))])


def calibration_clips(corpus: Corpus, waves: Waves, heldout: Heldout, config: TrainingConfig) -> np.ndarray:
    """Indices into ``heldout`` of clips with a label and with sound, a few a group; sorted."""
    random = np.random.default_rng([config.seed, 13])
    seen: Counter[str] = Counter()
    kept = []
    for i in random.permutation(len(heldout.rows)):
        row = int(heldout.rows[i])
        recording = corpus.recordings[row]
        if recording.is_cough is None or is_silent(waves.samples(row)):
            continue
        seen[recording.group_id] += 1
        if seen[recording.group_id] <= config.gate.calibration_clips_per_group:
            kept.append(i)
    return np.sort(np.array(kept, dtype=np.int64))


def calibrate(logits: list[np.ndarray], labels: np.ndarray, score_frames: int) -> tuple[float, float]:
    """Slope and shift of frame logits that make clip scores probabilities (least log loss)."""

    def loss(parameters: np.ndarray) -> float:
        scores = clip_scores(
            logits, score_frames, slope=float(np.exp(parameters[0])), shift=float(parameters[1])
        )
        scores = np.clip(scores, 1e-6, 1 - 1e-6)
        return float(-np.mean(np.where(labels == 1, np.log(scores), np.log1p(-scores))))

    found = minimize(loss, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-3, "fatol": 1e-6})
    return float(np.exp(found.x[0])), float(found.x[1])


def _cross_error(part: np.ndarray, logits: list[np.ndarray], labels: np.ndarray, score_frames: int) -> float:
    """ECE where each part of the sources is calibrated by what was fitted to the other parts."""
    scores = np.empty(len(part))
    for p in np.unique(part):
        fitted, applied = np.flatnonzero(part != p), np.flatnonzero(part == p)
        slope, shift = calibrate([logits[i] for i in fitted], labels[fitted], score_frames)
        scores[applied] = clip_scores([logits[i] for i in applied], score_frames, slope=slope, shift=shift)
    return expected_calibration_error(labels, scores)
