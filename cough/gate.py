"""The cough gate: does the recording hold coughs, and where?

The network gives a cough probability for every 40 ms. A frame's probability depends only on about
a second of sound either side of it, and on nothing else about the recording: neither its length
nor its loudest moment. So the same clip gives the same events alone or inside a longer recording
with silence around it, and a recording of any length is measured block by block in flat memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict

from cough import errors
from cough.audio import SAMPLE_RATE_HZ, Float32
from cough.bundle import Bundle, GateSpec

_BLOCK_S = 20.0
"""Audio measured at once; bounds memory, not the result."""


class CoughEvent(BaseModel):
    """One cough. Times in seconds from the start of the recording; score is a probability."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    start_s: float
    end_s: float
    score: float


class GateResult(NamedTuple):
    """What the gate heard."""

    cough_score: float
    """Calibrated probability that the recording holds a cough."""
    events: tuple[CoughEvent, ...]
    frame_probabilities: Float32
    """(n_frames,), one every ``hop_s``; frame i covers [i hop_s, (i + 1) hop_s)."""


class CoughGate:
    """Runs ``gate.onnx``. Safe to share between threads.

    Raises
    ------
    BundleIncompatible : the graph is not (batch, samples) -> (batch, frames) at the stated hop
    """

    def __init__(self, bundle: Bundle) -> None:
        self.spec: GateSpec = bundle.spec.gate
        self._session = bundle.session(self.spec.file)
        self._input = self._session.get_inputs()[0].name
        self._hop = round(self.spec.hop_s * SAMPLE_RATE_HZ)
        self._context = -(-round(self.spec.context_s * SAMPLE_RATE_HZ) // self._hop)
        self._block = max(1, round(_BLOCK_S * SAMPLE_RATE_HZ) // self._hop)
        self._check_shape()

    @property
    def hop_s(self) -> float:
        """Seconds between frames."""
        return self.spec.hop_s

    def detect(self, samples: Float32) -> GateResult:
        """Score a waveform and find its coughs.

        Parameters
        ----------
        samples : (n_samples,) float32 mono 16 kHz

        Returns
        -------
        GateResult : events in order of time, never overlapping
        """
        probabilities = self.frame_probabilities(samples)
        score = float(_smoothed(probabilities, self.spec.score_frames).max(initial=0.0))
        duration_s = len(samples) / SAMPLE_RATE_HZ
        events = tuple(find_events(probabilities, self.spec, duration_s=duration_s))
        return GateResult(score, events, probabilities)

    def frame_probabilities(self, samples: Float32) -> Float32:
        """Cough probability of every 40 ms; (ceil(n_samples / hop),) float32."""
        n_frames = -(-len(samples) // self._hop)
        out = np.empty(n_frames, np.float32)
        for first in range(0, n_frames, self._block):
            last = min(first + self._block, n_frames)
            out[first:last] = self._run(samples, first, last)
        return out

    def _run(self, samples: Float32, first: int, last: int) -> Float32:
        """Frames [first, last), computed from their samples and the context around them."""
        begin = (first - self._context) * self._hop
        end = (last + self._context) * self._hop
        window = np.zeros((1, end - begin), np.float32)
        kept_begin, kept_end = max(begin, 0), min(end, len(samples))
        window[0, kept_begin - begin : kept_end - begin] = samples[kept_begin:kept_end]
        frames: Float32 = self._session.run(None, {self._input: window})[0][0]
        return frames[self._context : len(frames) - self._context]

    def _check_shape(self) -> None:
        probe = np.zeros((1, 50 * self._hop), np.float32)
        try:
            shape = self._session.run(None, {self._input: probe})[0].shape
        except Exception as error:  # ONNX Runtime raises half a dozen unrelated types
            raise errors.BundleIncompatible(f"{self.spec.file} does not take (1, samples).") from error
        if shape != (1, 50):
            raise errors.BundleIncompatible(
                f"{self.spec.file} gives {shape} for 50 hops of {self.spec.hop_s} s, not (1, 50)."
            )


def find_events(probabilities: Float32, spec: GateSpec, *, duration_s: float) -> Iterator[CoughEvent]:
    """Events by hysteresis: a run of frames above the exit threshold that somewhere scores.

    Runs closer than ``merge_gap_s`` are one event. An event's score is the highest mean over
    ``score_frames`` consecutive frames that touch it; below ``threshold`` it is none. So a
    recording has an event exactly when its own score reaches the threshold (unless that event is
    shorter than ``min_event_s``).
    """
    smoothed = _smoothed(probabilities, spec.score_frames)
    reach = spec.score_frames - 1
    for first, last in _runs(probabilities >= spec.exit_threshold, round(spec.merge_gap_s / spec.hop_s)):
        score = float(smoothed[first : last + reach].max())
        end_s = min(last * spec.hop_s, duration_s)
        start_s = first * spec.hop_s
        # In frames: differences of times would round one way here and the other there.
        if score >= spec.threshold and (last - first) * spec.hop_s >= spec.min_event_s - 1e-9:
            yield CoughEvent(start_s=round(start_s, 6), end_s=round(end_s, 6), score=score)


def _smoothed(probabilities: Float32, width: int) -> Float32:
    """Moving mean with silence (probability 0) around; element j covers frames (j - width, j]."""
    kernel = np.full(width, 1.0 / width, np.float32)
    return np.convolve(probabilities, kernel) if len(probabilities) else probabilities


def _runs(active: np.ndarray[tuple[int], np.dtype[np.bool_]], merge_gap: int) -> Iterator[tuple[int, int]]:
    """Half-open runs of True; gaps of at most ``merge_gap`` frames are bridged."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], active.astype(np.int8), [0]])))
    starts, ends = edges[::2], edges[1::2]
    if not len(starts):
        return
    apart = np.flatnonzero(starts[1:] - ends[:-1] > merge_gap)
    yield from zip(
        starts[np.r_[0, apart + 1]].tolist(), ends[np.r_[apart, len(ends) - 1]].tolist(), strict=True
    )
