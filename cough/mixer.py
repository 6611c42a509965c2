"""Any channels at any rate to float32 mono 16 kHz, about a second at a time."""

from __future__ import annotations

from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt
import soxr

from cough import errors

SAMPLE_RATE_HZ = 16_000
Float32: TypeAlias = npt.NDArray[np.float32]

_CEILING = 0.985
"""Share of full scale from which a sample counts as clipped."""


class Mixer:
    """Averages channels and resamples about a second at a time, so that little is ever held."""

    def __init__(self, rate_hz: int, channels: int) -> None:
        self.rate_hz = rate_hz
        self.channels = channels
        self._loud = self._seen = 0
        self._pending: list[npt.NDArray[Any]] = []
        self._pending_samples = 0
        self._resampler = (
            None
            if rate_hz == SAMPLE_RATE_HZ
            else soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")
        )

    def push(self, chunk: npt.NDArray[Any]) -> Float32:
        """(n_channels, n) of the source's type and rate in; (m,) at 16 kHz out, m often 0."""
        self._pending.append(chunk)
        self._pending_samples += chunk.shape[1]
        if self._pending_samples < self.rate_hz:
            return np.zeros(0, np.float32)
        return self._resample(last=False)

    @property
    def clipped_fraction(self) -> float:
        """Share of samples so far, of all channels, at 98.5 % of full scale or beyond."""
        return self._loud / self._seen if self._seen else 0.0

    @property
    def seconds(self) -> float:
        """Duration of what was mixed so far."""
        return self._seen / self.channels / self.rate_hz

    def flush(self) -> Float32:
        """What is left; the mixer is spent afterwards."""
        return self._resample(last=True)

    def _resample(self, *, last: bool) -> Float32:
        nothing = np.zeros(0, np.float32)
        mono = self._mix(np.concatenate(self._pending, axis=1)) if self._pending else nothing
        self._pending, self._pending_samples = [], 0
        if self._resampler is None:
            return mono
        return cast(Float32, self._resampler.resample_chunk(mono, last=last))

    def _mix(self, chunk: npt.NDArray[Any]) -> Float32:
        samples = _to_float(chunk)
        # Lossy codecs decode flat tops to something around full scale, on either side of it.
        self._loud += int((np.abs(samples) >= _CEILING).sum())
        self._seen += samples.size
        # In float64: the mean of two float32 extremes must not overflow.
        mono = samples[0] if self.channels == 1 else samples.mean(axis=0, dtype=np.float64)
        if not np.isfinite(mono).all():
            raise errors.NonFiniteSamples("The recording holds NaN or infinite samples.")
        # What players do with float files beyond full scale; also keeps the resampler finite.
        return np.asarray(np.clip(mono, -1.0, 1.0), np.float32)


def _to_float(array: npt.NDArray[Any]) -> Float32:
    """Full-scale integers of any width, or floats, to float32 in [-1, 1)."""
    if np.issubdtype(array.dtype, np.unsignedinteger):
        half = float(np.iinfo(array.dtype).max // 2 + 1)
        return np.asarray((array.astype(np.float64) - half) / half, np.float32)
    if np.issubdtype(array.dtype, np.integer):
        full_scale = np.float32(-float(np.iinfo(array.dtype).min))
        return np.asarray(array.astype(np.float32) / full_scale, np.float32)
    with np.errstate(over="ignore"):  # a double beyond float32 becomes inf and is refused later
        return array.astype(np.float32)
