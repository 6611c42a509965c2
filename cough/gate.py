"""The cough gate: does the recording hold coughs, and where?

The network gives a cough probability for every 40 ms. A frame's probability depends only on the few
seconds of sound either side of it that the bundle states (``context_s``), and on nothing else about the
recording: neither its length nor its loudest moment. So the same clip gives the same events alone or
inside a longer recording with silence around it, and a recording of any length is measured block by block
in flat memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
    BundleIncompatible : the graph is not (batch, samples) -> (batch, frames) at the stated hop, or gives
        something that is no probability
    """

    def __init__(self, bundle: Bundle) -> None:
        self.spec: GateSpec = bundle.spec.gate
        self._session = bundle.session(self.spec.file)
        self._input = self._session.get_inputs()[0].name
        self._hop = round(self.spec.hop_s * SAMPLE_RATE_HZ)
        self._context = self._hops(self.spec.context_s)
        self._edge = self._context if self.spec.edge_s is None else self._hops(self.spec.edge_s)
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
        return GateResult(
            score, tuple(find_events(probabilities, self.spec, duration_s=duration_s)), probabilities
        )

    def events(self, pieces: Iterable[Float32]) -> Iterator[CoughEvent]:
        """The events of ``detect``, each as soon as it is over, in memory that does not grow.

        Parameters
        ----------
        pieces : consecutive parts of a waveform, each (n,) float32 mono 16 kHz, n as it comes
        """
        finder = EventFinder(self.spec)
        n_samples = 0

        def counted() -> Iterator[Float32]:
            nonlocal n_samples
            for piece in pieces:
                n_samples += len(piece)
                yield piece

        for block in self._blocks(counted()):
            yield from finder.push(block)
        yield from finder.finish(duration_s=n_samples / SAMPLE_RATE_HZ)

    def frame_probabilities(self, samples: Float32) -> Float32:
        """Cough probability of every 40 ms; (ceil(n_samples / hop),) float32."""
        return np.concatenate([np.zeros(0, np.float32), *self._blocks([samples])])

    def _blocks(self, pieces: Iterable[Float32]) -> Iterator[Float32]:
        """Frame probabilities, 20 s at a time; where blocks begin does not depend on the pieces."""
        context, edge, block = (n * self._hop for n in (self._context, self._edge, self._block))
        # One block between its contexts. Before and after the recording there is silence, and less of
        # it than of sound can change a frame.
        window = np.zeros(context + block + context, np.float32)
        filled, before = context, edge
        for piece in pieces:
            left = piece
            while len(left):
                taken = left[: len(window) - filled]
                window[filled : filled + len(taken)] = taken
                filled, left = filled + len(taken), left[len(taken) :]
                if filled == len(window):
                    yield self._run(window[context - before :], before=before, after=context)
                    window[: 2 * context] = window[block:]
                    filled, before = 2 * context, context
        ending = np.pad(window[:filled], (0, self._hop + context))
        for begin in range(0, filled - context, block):
            n_frames = min(self._block, -(-(filled - context - begin) // self._hop))
            end = begin + context + n_frames * self._hop
            after = min(context, max(edge, self._whole_hops(filled + edge - end)))
            yield self._run(ending[begin + context - before : end + after], before=before, after=after)
            before = context

    def _run(self, window: Float32, *, before: int, after: int) -> Float32:
        """Probabilities of the frames of a window (n,), without those of so many samples at its ends."""
        frames: Float32 = self._session.run(None, {self._input: window[None]})[0][0]
        if not np.isfinite(frames).all() and not np.isfinite(window).all():
            raise errors.NonFiniteSamples("The recording holds NaN or infinite samples.")
        self._check_range(frames)
        return frames[before // self._hop : len(frames) - after // self._hop]

    def _check_range(self, frames: Float32) -> None:
        # Float32 rounds a probability beyond 1 at most by a last bit; NaN is not inside, either.
        if len(frames) and not (frames.min() >= -1e-6 and frames.max() <= 1 + 1e-6):
            raise errors.BundleIncompatible(f"{self.spec.file} gives something that is no probability.")

    def _whole_hops(self, n_samples: int) -> int:
        return -(-n_samples // self._hop) * self._hop

    def _hops(self, seconds: float) -> int:
        return -(-round(seconds * SAMPLE_RATE_HZ) // self._hop)

    def _check_shape(self) -> None:
        # Recordings come in any length.
        noise = np.random.default_rng(0).uniform(-0.5, 0.5, 87 * self._hop).astype(np.float32)
        for probe in (np.zeros(50 * self._hop, np.float32), noise):
            n_hops = len(probe) // self._hop
            try:
                frames = self._session.run(None, {self._input: probe[None]})[0]
            except Exception as error:  # ONNX Runtime raises half a dozen unrelated types
                raise errors.BundleIncompatible(
                    f"{self.spec.file} does not take (1, samples) of any length."
                ) from error
            if frames.shape != (1, n_hops):
                raise errors.BundleIncompatible(
                    f"{self.spec.file} gives {frames.shape} for {n_hops} hops of {self.spec.hop_s} s, "
                    f"not (1, {n_hops})."
                )
            self._check_range(frames)


def find_events(probabilities: Float32, spec: GateSpec, *, duration_s: float) -> Iterator[CoughEvent]:
    """Events of a whole recording; see ``EventFinder``."""
    finder = EventFinder(spec)
    yield from finder.push(probabilities)
    yield from finder.finish(duration_s=duration_s)


class EventFinder:
    """Events by hysteresis: a run of frames above the exit threshold that somewhere scores.

    Runs no more than ``merge_gap_s`` apart are one event. An event's score is the highest mean over
    ``score_frames`` consecutive frames that touch it; below ``threshold`` it is none. So a
    recording has an event exactly when its own score reaches the threshold (unless that event is
    shorter than ``min_event_s``).
    """

    def __init__(self, spec: GateSpec) -> None:
        self._spec = spec
        self._merge_gap = round(spec.merge_gap_s / spec.hop_s)
        self._reach = spec.score_frames - 1
        self._seen = 0
        self._recent = np.zeros(self._reach, np.float32)
        self._first, self._last, self._score = 0, 0, -1.0
        """The open run [first, last) and its score so far; ``first == last``: there is none."""

    def push(self, probabilities: Float32) -> Iterator[CoughEvent]:
        """Events that the next frames, (n,), bring to an end."""
        joined = np.concatenate([self._recent, probabilities])
        means = _means(joined, self._spec.score_frames).tolist()
        self._recent = joined[len(joined) - self._reach :]
        active = (probabilities >= self._spec.exit_threshold).tolist()
        for mean, is_active in zip(means, active, strict=True):
            if is_active:
                if self._seen - self._last > self._merge_gap:
                    yield from self._close(None)
                if self._first == self._last:
                    self._first, self._score = self._seen, -1.0
                self._last = self._seen + 1
            elif self._seen - self._last >= max(self._merge_gap, self._reach):
                yield from self._close(None)
            if self._seen < self._last + self._reach:
                self._score = max(self._score, mean)
            self._seen += 1

    def finish(self, *, duration_s: float) -> Iterator[CoughEvent]:
        """The event that was still open when the recording ended after ``duration_s``."""
        # Silence after the end: the last frames of a run count towards fewer than score_frames means.
        for mean in _means(np.pad(self._recent, (0, self._reach)), self._spec.score_frames).tolist():
            if self._seen < self._last + self._reach:
                self._score = max(self._score, mean)
            self._seen += 1
        yield from self._close(duration_s)

    def _close(self, duration_s: float | None) -> Iterator[CoughEvent]:
        spec = self._spec
        # In frames: differences of times would round one way here and the other there.
        long_enough = (self._last - self._first) * spec.hop_s >= spec.min_event_s - 1e-9
        if self._last > self._first and self._score >= spec.threshold and long_enough:
            end_s = self._last * spec.hop_s
            yield CoughEvent(
                start_s=round(self._first * spec.hop_s, 6),
                end_s=round(end_s if duration_s is None else min(end_s, duration_s), 6),
                score=self._score,
            )
        self._first = self._last


def _smoothed(probabilities: Float32, width: int) -> Float32:
    """Moving mean with silence (probability 0) around; element j covers frames (j - width, j]."""
    return _means(np.pad(probabilities, width - 1), width) if len(probabilities) else probabilities


def _means(values: Float32, width: int) -> Float32:
    """Means of ``width`` consecutive values, summed in a fixed order: the same in any block."""
    n = len(values) - width + 1
    total = np.zeros(n, np.float32)
    for i in range(width):
        total += values[i : i + n]
    return total / np.float32(width)
