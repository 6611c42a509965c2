"""Event parameters tried on soundscapes of a training fold, so that the test fold has no say in them.

Frame probabilities do not depend on these parameters: the network runs once, the events are found anew
for every point of the grid. The fold is one of those that train and tune, so F1 is higher here than it
will be: what counts is which parameters are better, not how good they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from rich.progress import track

from cough.audio import SAMPLE_RATE_HZ
from cough.bundle import GateSpec
from cough.gate import CoughEvent, CoughGate, find_events
from training.benchmark import TEST_FOLD, fold_rows, listen
from training.corpus import Corpus
from training.event_scores import counts, judge, rate
from training.scenes import SNRS_DB, SPACINGS, Soundscape, palette, soundscapes

SWEEP_FOLD = 4
TARGET_SNR_DB = 10
"""Figures count soundscapes at this SNR or better, where the targets lie."""
GRID: dict[str, tuple[float, ...]] = {
    "threshold_ratio": (1.0, 0.75, 0.5, 0.25),
    "exit_ratio": (0.3, 0.5, 0.7, 1.0),
    "merge_gap_s": (0.08, 0.12, 0.2),
    "split_ratio": (0.0, 0.5, 0.7),
}
"""Of the shipped threshold; of the resulting threshold; seconds; see ``split_at_valleys``, 0: never."""


@dataclass(frozen=True)
class Heard:
    """Soundscapes and clips without a cough as the network hears them."""

    scapes: Sequence[tuple[Soundscape, np.ndarray]]
    """Each with its frame probabilities, (n_frames,) float32."""
    others: Sequence[tuple[str, float, np.ndarray]]
    """Event class, duration (s) and frame probabilities of each."""


def hear_fold(corpus: Corpus, gate: CoughGate, *, n: int, seed: int, fold: int = SWEEP_FOLD) -> Heard:
    """Run the network over a training fold: ``n`` soundscapes an SNR and spacing, and all non-coughs.

    Raises
    ------
    ValueError : asked for the test fold
    """
    if fold == TEST_FOLD:
        raise ValueError(f"fold {TEST_FOLD} only tests: nothing is chosen on it")
    clips = listen(corpus, fold_rows(corpus, fold))
    sounds = palette(corpus, clips)
    sets = [(spacing, snr) for spacing in SPACINGS for snr in SNRS_DB if snr >= TARGET_SNR_DB]
    scapes = [
        (scape, gate.frame_probabilities(scape.samples))
        for spacing, snr in track(sets, description="hearing soundscapes")
        for scape in soundscapes(sounds, snr_db=snr, spacing=spacing, n=n, seed=seed)
    ]
    others = [
        (corpus.recordings[row].event, len(samples) / SAMPLE_RATE_HZ, gate.frame_probabilities(samples))
        for row, samples in track(list(clips.items()), description="hearing other sounds")
        if corpus.recordings[row].is_cough is False
    ]
    return Heard(scapes, others)


def sweep_events(
    heard: Heard, spec: GateSpec, grid: Mapping[str, Sequence[float]] = GRID
) -> list[dict[str, Any]]:
    """Figures of every point of the grid, best F1 first; each row is ready for JSON."""
    points = [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]
    rows = []
    for point in track(points, description="trying event parameters"):
        tried = _tried(spec, point)
        split = point["split_ratio"]
        judged = [
            judge(scape, _events(frames, tried, duration_s=scape.duration_s, split_ratio=split))
            for scape, frames in heard.scapes
        ]
        alarms = [
            (duration_s, len(_events(frames, tried, duration_s=duration_s, split_ratio=split)))
            for event, duration_s, frames in heard.others
            if event != "sneeze"
        ]
        seconds, events = (float(sum(column)) for column in zip(*alarms, strict=True))
        rows.append(point | counts(judged) | {"alarms_without_sneezes": rate(int(events), seconds)})
    return sorted(rows, key=lambda row: -(row["f1"] or 0.0))


def _tried(spec: GateSpec, point: Mapping[str, float]) -> GateSpec:
    threshold = point["threshold_ratio"] * spec.threshold
    return GateSpec.model_validate(
        spec.model_dump()
        | {
            "threshold": threshold,
            "exit_threshold": point["exit_ratio"] * threshold,
            "merge_gap_s": point["merge_gap_s"],
        }
    )


def _events(frames: np.ndarray, spec: GateSpec, *, duration_s: float, split_ratio: float) -> list[CoughEvent]:
    events = list(find_events(frames, spec, duration_s=duration_s))
    if not split_ratio:
        return events
    return [part for event in events for part in split_at_valleys(event, frames, spec, ratio=split_ratio)]


def split_at_valleys(
    event: CoughEvent, frames: np.ndarray, spec: GateSpec, *, ratio: float
) -> Iterator[CoughEvent]:
    """Cut an event wherever its probability falls below ``ratio`` of the peaks on both sides.

    A prototype: two coughs may be joined by frames that stay above the exit threshold. One pass with
    few numbers to remember, so it would fit ``cough.gate.EventFinder``. Every part must peak at the
    threshold and last ``min_event_s``, else there is no cut.
    """
    # An event that ends with the recording may end inside a frame.
    first, last = round(event.start_s / spec.hop_s), int(np.ceil(event.end_s / spec.hop_s - 1e-6))
    shortest = max(1, round(spec.min_event_s / spec.hop_s))
    begin, peak, low, low_at = first, 0.0, 1.0, first
    for i in range(first, min(last, len(frames))):
        value = float(frames[i])
        is_valley = low < ratio * min(peak, value) and min(peak, value) >= spec.threshold
        if is_valley and low_at - begin >= shortest and last - low_at >= shortest:
            yield _part(event, begin, low_at, spec)
            begin, peak, low, low_at = low_at, value, value, i
        elif value > peak:
            peak, low, low_at = value, value, i
        elif value < low:
            low, low_at = value, i
    yield event.model_copy(update={"start_s": round(begin * spec.hop_s, 6)})


def _part(event: CoughEvent, begin: int, end: int, spec: GateSpec) -> CoughEvent:
    return event.model_copy(
        update={"start_s": round(begin * spec.hop_s, 6), "end_s": round(end * spec.hop_s, 6)}
    )
