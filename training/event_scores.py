"""Found events against known coughs: event F1, counts, and what kind of error each error is.

Matching is ``mir_eval``'s (MIT; maintained, unlike ``sed_eval`` and ``psds_eval``, and lighter than
``sed_scores_eval``, which needs pandas and ``sed_eval``): the largest set of pairs of a cough and an
event whose onsets lie within 200 ms, each used once (``mir_eval.util.match_events``; for one soundscape
the F1 is that of ``mir_eval.onset.f_measure``). Pairs are summed over soundscapes before the F1 is formed, as
``sed_eval`` does: a soundscape without coughs then costs precision and nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mir_eval.util import match_events
from scipy.stats import chi2

from cough.evaluation.metrics import group_bootstrap
from cough.gate import CoughEvent
from training.scenes import Placed, Soundscape

COLLAR_S = 0.2
COUNT_SHARE = 0.1
GAPS_S = (0.2, 0.35, 0.6)
"""Edges between which recall is told by the quiet before or after a cough."""
LONG_S = 1e6
"""In place of infinity, which lies in no half-open range."""
MISSES = {
    "merged": "lies in an event that counts for another cough",
    "misplaced": "an event touches it, but begins further off than the collar",
    "unheard": "no event touches it",
}


@dataclass(frozen=True)
class Fate:
    """What became of one cough."""

    cough: Placed
    gap_s: float
    """Quiet between it and the nearest other cough; infinite for a lone one."""
    miss: str | None
    """Of ``MISSES``; None: found."""


@dataclass(frozen=True)
class Judged:
    """One soundscape's events, judged."""

    fates: tuple[Fate, ...]
    n_events: int
    false_alarms: tuple[str, ...]
    """Of every event without a cough: "split", part of a cough that another event counts for;
    "misplaced", as of misses; else what sounds there, a voice's class or the kind of background."""

    @property
    def n_coughs(self) -> int:
        return len(self.fates)

    @property
    def n_pairs(self) -> int:
        return self.n_events - len(self.false_alarms)

    @property
    def count_is_near(self) -> bool:
        """Within 10 %, or within one."""
        return abs(self.n_events - self.n_coughs) <= max(1.0, COUNT_SHARE * self.n_coughs)

    @property
    def count_is_within(self) -> bool:
        """Within 10 %: exact for fewer than ten coughs."""
        return abs(self.n_events - self.n_coughs) <= COUNT_SHARE * self.n_coughs


def judge(scape: Soundscape, events: Sequence[CoughEvent]) -> Judged:
    """Match the events of a soundscape with its coughs and explain what is left over."""
    coughs = scape.coughs
    onsets = np.array([cough.start_s for cough in coughs])
    pairs = match_events(onsets, np.array([event.start_s for event in events]), COLLAR_S)
    found, used = {int(i) for i, _ in pairs}, {int(j) for _, j in pairs}
    touching = np.array([[_overlap_s(c, e) > 0 for e in events] for c in coughs], dtype=bool)
    touching = touching.reshape(len(coughs), len(events))

    def miss(i: int) -> str | None:
        if i in found:
            return None
        touched = np.flatnonzero(touching[i])
        if not len(touched):
            return "unheard"
        return "merged" if used.intersection(touched.tolist()) else "misplaced"

    def false_alarm(j: int) -> str:
        touched = np.flatnonzero(touching[:, j])
        if not len(touched):
            return _heard_at(scape, events[j])
        return "split" if found.intersection(touched.tolist()) else "misplaced"

    return Judged(
        tuple(Fate(cough, _gap_s(coughs, i), miss(i)) for i, cough in enumerate(coughs)),
        len(events),
        tuple(false_alarm(j) for j in range(len(events)) if j not in used),
    )


def _overlap_s(placed: Placed, event: CoughEvent) -> float:
    return min(placed.end_s, event.end_s) - max(placed.start_s, event.start_s)


def _heard_at(scape: Soundscape, event: CoughEvent) -> str:
    voice = max(scape.voices, key=lambda v: _overlap_s(v, event), default=None)
    if voice and _overlap_s(voice, event) > 0:
        return voice.sound.event
    return f"{scape.background} background"


def _gap_s(coughs: Sequence[Placed], i: int) -> float:
    before = coughs[i].start_s - coughs[i - 1].end_s if i else np.inf
    after = coughs[i + 1].start_s - coughs[i].end_s if i + 1 < len(coughs) else np.inf
    return float(min(before, after))


def f1(judged: Sequence[Judged]) -> float:
    """Event F1 over all soundscapes; NaN without any cough or event."""
    both = sum(j.n_coughs + j.n_events for j in judged)
    return 2 * sum(j.n_pairs for j in judged) / both if both else float("nan")


def counts(judged: Sequence[Judged]) -> dict[str, Any]:
    """F1, counts and kinds of error of some soundscapes, ready for JSON."""
    coughs, events, pairs = (sum(getattr(j, f"n_{n}") for j in judged) for n in ("coughs", "events", "pairs"))
    misses = Counter(fate.miss for j in judged for fate in j.fates)
    off = [j.n_events - j.n_coughs for j in judged]
    return {
        "soundscapes": len(judged),
        "coughs": coughs,
        "events": events,
        "f1": share(2 * pairs, coughs + events),
        "precision": share(pairs, events),
        "recall": share(pairs, coughs),
        "count_error_mean": share(sum(off), len(judged)),
        "count_error_mean_absolute": share(sum(map(abs, off)), len(judged)),
        "count_within_10_percent_or_one": share(sum(j.count_is_near for j in judged), len(judged)),
        "count_within_10_percent": share(sum(j.count_is_within for j in judged), len(judged)),
        "misses": {why: misses[why] for why in MISSES},
        "false_alarms": dict(Counter(why for j in judged for why in j.false_alarms).most_common()),
    }


def summary(judged: Sequence[Judged], *, unheard_alone: Collection[str], seed: int) -> dict[str, Any]:
    """``counts``, the 95 % interval of the F1, and recall by gap and by source.

    The interval tells how other soundscapes of the same sounds would come out. Soundscapes share coughs,
    so it says nothing about other people.

    Parameters
    ----------
    unheard_alone : names of coughs that the gate does not find in silence either
    seed : of the bootstrap over soundscapes
    """
    fates = [fate for j in judged for fate in j.fates]
    alone = sum(fate.miss is not None and fate.cough.sound.name in unheard_alone for fate in fates)
    figures = counts(judged)
    bounds: Sequence[float] | None = None
    if figures["f1"] is not None:
        each = [str(i) for i in range(len(judged))]
        bounds = group_bootstrap(lambda i: f1([judged[k] for k in i]), each, seed=seed, resamples=500)
    gaps = zip((0.0, *GAPS_S), (*GAPS_S, np.inf), strict=True)
    return {
        **figures,
        "f1_95": None if bounds is None else [round(bound, 4) for bound in bounds],
        "missed_that_are_unheard_alone": alone,
        "recall_by_gap": {
            f"{low:g}-{high:g} s": _recall(f for f in fates if low <= min(f.gap_s, LONG_S) < high)
            for low, high in gaps
        },
        "recall_by_source": {
            source: _recall(f for f in fates if f.cough.sound.source == source)
            for source in sorted({f.cough.sound.source for f in fates})
        },
    }


def _recall(fates: Iterable[Fate]) -> dict[str, float | int | None]:
    found = [fate.miss is None for fate in fates]
    return {"coughs": len(found), "recall": share(sum(found), len(found))}


def rate(events: int, seconds: float) -> dict[str, Any]:
    """Events an hour, with the exact 95 % interval of a Poisson count (Garwood 1936).

    Raises
    ------
    ValueError : no time to count them in
    """
    hours = seconds / 3600
    if not hours:
        raise ValueError("there is nothing to count events in")
    low = chi2.ppf(0.025, 2 * events) / 2 if events else 0.0
    high = chi2.ppf(0.975, 2 * events + 2) / 2
    return {
        "events": events,
        "hours": round(hours, 4),
        "per_hour": round(events / hours, 2),
        "per_hour_95": [round(float(low) / hours, 2), round(float(high) / hours, 2)],
    }


def share(part: float, whole: float) -> float | None:
    """Four decimals; None of nothing."""
    return round(part / whole, 4) if whole else None
