"""Any channels at any rate to float32 mono 16 kHz, piece by piece."""

from __future__ import annotations

from typing import Any, TypeAlias, cast

import av
import numpy as np
import numpy.typing as npt
import soxr

from cough import errors

SAMPLE_RATE_HZ = 16_000
Float32: TypeAlias = npt.NDArray[np.float32]

_CEILING = 0.985
"""Share of full scale from which a sample counts as clipped."""
_CANCELLED = 0.01
"""Share of the loudest channel's power below which the mean of the channels is no recording of anything: some
microphones give the same sound twice, once upside down."""


_SAMPLE_TYPES = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}


def planes(frame: av.AudioFrame) -> npt.NDArray[Any]:
    """A frame's samples as they are, (n_channels, n); no copy where there is one channel.

    Spelled out because ``AudioFrame.to_ndarray`` takes eight planes for nine.
    """
    dtype = np.dtype(_SAMPLE_TYPES[frame.format.name.removesuffix("p")])
    n, channels = frame.samples, frame.layout.nb_channels
    if frame.format.is_planar:
        arrays = [np.frombuffer(memoryview(plane), dtype, n) for plane in frame.planes[:channels]]
        return arrays[0][None] if channels == 1 else np.array(arrays)
    return np.frombuffer(memoryview(frame.planes[0]), dtype, n * channels).reshape(n, channels).T


class Mixer:
    """Averages channels and resamples. About a second at a time is quick, and little is ever held."""

    def __init__(self, rate_hz: int, channels: int) -> None:
        self.rate_hz = rate_hz
        self.channels = channels
        self._loud = self._seen = 0
        self._resampler = (
            None
            if rate_hz == SAMPLE_RATE_HZ
            else soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")
        )

    def push(self, chunk: npt.NDArray[Any]) -> Float32:
        """(n_channels, n) of the source's type and rate in; (m,) at 16 kHz out, m perhaps 0."""
        return self._resample(self._mix(chunk), last=False)

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
        return self._resample(np.zeros(0, np.float32), last=True)

    def _resample(self, mono: Float32, *, last: bool) -> Float32:
        if self._resampler is None:
            return mono
        return cast(Float32, self._resampler.resample_chunk(mono, last=last))

    def _mix(self, chunk: npt.NDArray[Any]) -> Float32:
        samples = _to_float(chunk)
        self._seen += samples.size
        # In float64: the mean of two float32 extremes must not overflow.
        mono = samples[0] if self.channels == 1 else _mean(samples)
        peak = max(samples.max(initial=0.0), -samples.min(initial=0.0))
        if not peak < _CEILING:  # NaN is not, either
            # Lossy codecs decode flat tops to something around full scale, on either side of it.
            self._loud += int((np.abs(samples) >= _CEILING).sum())
            if not np.isfinite(mono).all():
                raise errors.NonFiniteSamples("The recording holds NaN or infinite samples.")
            # What players do with float files beyond full scale; also keeps the resampler finite.
            mono = np.clip(mono, -1.0, 1.0)
        return np.asarray(mono, np.float32)


def _mean(samples: Float32) -> npt.NDArray[Any]:
    """(n_channels, n) to (n,): the mean of the channels, or the loudest where they cancel each other."""
    mean = samples.mean(axis=0, dtype=np.float64)
    powers = np.square(samples, dtype=np.float64).sum(axis=1)
    if np.square(mean).sum() < _CANCELLED * powers.max(initial=0.0):
        return np.asarray(samples[int(powers.argmax())])
    return np.asarray(mean)


def _to_float(array: npt.NDArray[Any]) -> Float32:
    """Full-scale integers of any width, or floats, to float32 in [-1, 1)."""
    if np.issubdtype(array.dtype, np.unsignedinteger):
        half = float(np.iinfo(array.dtype).max // 2 + 1)
        return np.asarray((array.astype(np.float64) - half) / half, np.float32)
    if np.issubdtype(array.dtype, np.integer):
        full_scale = np.float32(-float(np.iinfo(array.dtype).min))
        return np.asarray(array.astype(np.float32) / full_scale, np.float32)
    with np.errstate(over="ignore"):  # a double beyond float32 becomes inf and is refused later
        return array.astype(np.float32, copy=False)
