"""Isolated coughs: parts of cough clips whose onset and end are really known, from their own energy.

A label of the corpus says that somewhere in a clip somebody coughs. For coughs placed at known times
that is too little, so a cough counts as isolated only where one burst of energy stands out clearly:

- its level (10 ms windows every 5 ms) reaches within 10 dB of the clip's loudest; whatever is within
  20 dB of that, holes of up to 100 ms bridged, is one burst;
- its onset is the first, its end the last window within 15 dB of its peak, 40 to 500 ms in all, and
  between them lies no hole longer than 40 ms: else it may be two coughs;
- everything around it, from 250 ms before the onset to 250 ms after the end, save the 50 ms before and
  the 100 ms after, where it swells and decays, stays 20 dB below its peak;
- the clip goes on for those 250 ms on both sides.

The last is not asked of ``ghchen99_phone``, nor that there be no hole: its clips are cut to single coughs
of about 0.3 s.

In the benchmark no detector has a say, neither the gate nor mn04: else it would hold what they find easy.
In training one has (``believed``): there a burst that is no cough teaches the wrong thing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from cough.audio import SAMPLE_RATE_HZ
from training.clips import is_silent
from training.corpus import Corpus

SINGLE_COUGH_SOURCES = frozenset({"ghchen99_phone"})
"""Every cough clip of these is one cough, cut out closely."""
WINDOW = SAMPLE_RATE_HZ // 100
STEP = WINDOW // 2
_STEP_S = STEP / SAMPLE_RATE_HZ
NEAR_LOUDEST_DB = 10.0
ACTIVE_DB = 15.0
QUIET_DB = 20.0
HOLE_S = 0.04
LENGTH_S = (0.04, 0.5)
AROUND_S = 0.25
SWELL_S, DECAY_S = 0.05, 0.1
LEAD_S, TAIL_S = 0.05, 0.2
"""What is cut out with the cough, before its onset and after its end."""
FADE_S = 0.01


@dataclass(frozen=True)
class Sound:
    """A sound cut out of a recording, ready to be placed; it fades in and out."""

    samples: np.ndarray
    """(n,) float32 at 16 kHz."""
    start: int
    """Its active part is ``samples[start:end]``; energy outside is swell, decay and the room."""
    end: int
    event: str
    source: str
    group_id: str
    name: str
    """Of the recording, and where in it, in seconds."""

    @property
    def power(self) -> float:
        """Mean square of the active part."""
        return float(np.square(self.samples[self.start : self.end], dtype=np.float64).mean())


def level_db(samples: np.ndarray) -> np.ndarray:
    """Level in 10 ms windows centred every 5 ms; (ceil(n / 80),) float64, dB re full scale."""
    # Padded so that clips shorter than a window, too, get one value for every 5 ms.
    padded = np.pad(np.square(samples, dtype=np.float64), (WINDOW // 2, WINDOW - 1 - WINDOW // 2))
    power = np.convolve(padded, np.full(WINDOW, 1 / WINDOW), "valid")
    return np.asarray(10 * np.log10(power[::STEP] + 1e-10))


def isolated_bursts(samples: np.ndarray, *, cut_closely: bool = False) -> list[tuple[int, int]]:
    """Onset and end of every isolated burst, in samples.

    Parameters
    ----------
    samples : (n,) float32 at 16 kHz
    cut_closely : the clip is known to be one cough, and may begin and end with it
    """
    level = level_db(samples)
    swell, decay = round(SWELL_S / _STEP_S), round(DECAY_S / _STEP_S)
    bursts = []
    for first, last in _runs(level > level.max() - QUIET_DB, hole=decay):
        peak = level[first:last].max()
        # A burst that is not the loudest rises and decays outside its run; the next run is further off.
        near = max(0, first - swell)
        active = np.flatnonzero(level[near : last + decay] > peak - ACTIVE_DB) + near
        begin, end = int(active[0]), int(active[-1]) + 1
        whole = cut_closely or np.diff(active).max(initial=1) * _STEP_S <= HOLE_S
        lasts_s = (end - begin) * _STEP_S
        if (
            peak >= level.max() - NEAR_LOUDEST_DB
            and whole
            and LENGTH_S[0] <= lasts_s <= LENGTH_S[1]
            and _stands_alone(level, begin, end, peak, cut_closely=cut_closely)
        ):
            bursts.append((begin * STEP, min(end * STEP, len(samples))))
    return bursts


def _runs(active: np.ndarray, *, hole: int) -> Iterator[tuple[int, int]]:
    """[first, last) of runs of True, holes up to ``hole`` windows bridged."""
    where = np.flatnonzero(active)
    breaks = np.flatnonzero(np.diff(where) > hole)
    firsts = np.concatenate([where[:1], where[breaks + 1]])
    lasts = np.concatenate([where[breaks], where[-1:]]) + 1
    yield from zip(firsts.tolist(), lasts.tolist(), strict=True)


def _stands_alone(level: np.ndarray, begin: int, end: int, peak: float, *, cut_closely: bool) -> bool:
    around, swell, decay = (round(s / _STEP_S) for s in (AROUND_S, SWELL_S, DECAY_S))
    complete = begin >= around and end + around <= len(level)
    outside = [level[max(0, begin - around) : max(0, begin - swell)], level[end + decay : end + around]]
    return (complete or cut_closely) and np.concatenate(outside).max(initial=-np.inf) < peak - QUIET_DB


Believed = Callable[[int, int, int], bool]
"""Whether a recording's samples [begin, end) are believed to be a cough: (row, begin, end)."""


def isolated_coughs(
    corpus: Corpus, clips: Mapping[int, np.ndarray], believed: Believed | None = None
) -> list[Sound]:
    """Isolated coughs in audible cough clips among ``clips`` (samples by row): all, or those believed."""
    coughs = []
    for row, samples in clips.items():
        recording = corpus.recordings[row]
        if recording.is_cough is not True or is_silent(samples):
            continue
        cut_closely = recording.source in SINGLE_COUGH_SOURCES
        for begin, end in isolated_bursts(samples, cut_closely=cut_closely):
            if believed is not None and not believed(row, begin, end):
                continue
            first = max(0, begin - round(LEAD_S * SAMPLE_RATE_HZ))
            last = min(len(samples), end + round(TAIL_S * SAMPLE_RATE_HZ))
            coughs.append(
                Sound(
                    faded(samples[first:last]),
                    begin - first,
                    end - first,
                    recording.event,
                    recording.source,
                    recording.group_id,
                    f"{recording.recording_id}@{begin / SAMPLE_RATE_HZ:.2f}",
                )
            )
    return coughs


def faded(samples: np.ndarray) -> np.ndarray:
    """A copy with 10 ms fades, so that cutting makes no click."""
    out = samples.astype(np.float32)
    n = min(round(FADE_S * SAMPLE_RATE_HZ), len(out) // 2)
    ramp = np.sin(np.linspace(0, np.pi / 2, n, dtype=np.float32)) ** 2
    out[:n] *= ramp
    out[len(out) - n :] *= ramp[::-1]
    return out
