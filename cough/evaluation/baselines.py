"""What a score is worth beside one that listens to nothing but levels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from cough.audio import SAMPLE_RATE_HZ, Float32
from cough.gate import CoughEvent

LEVEL_STATISTICS = (
    "duration_s",
    "rms_db",
    "peak_db",
    "flatness_db",
    "roll_off_hz",
    "dynamic_range_db",
)
BACKGROUND_BANDS = 16
_FRAME = 512
"""Samples of a spectrum; 32 ms."""


def level_statistics(samples: Float32) -> npt.NDArray[np.float64]:
    """Six numbers that say how loud, long and bright a recording is, and nothing about coughs.

    Duration (s); RMS and peak (dBFS); spectral flatness (dB) and 85 % roll-off (Hz) of the mean
    power spectrum; 95th minus 5th percentile of 25 ms levels (dB).

    Parameters
    ----------
    samples : (n_samples,) float32 mono 16 kHz

    Returns
    -------
    (6,) float64 in the order of ``LEVEL_STATISTICS``
    """
    x = samples.astype(np.float64)
    spectrum = _mean_power(samples) + 1e-14
    roll_off_bin = int(np.searchsorted(np.cumsum(spectrum), 0.85 * spectrum.sum()))
    blocks = np.pad(x, (0, -len(x) % 400)).reshape(-1, 400)
    levels = 10 * np.log10(np.square(blocks).mean(axis=1) + 1e-12)
    quiet, loud = np.quantile(levels, (0.05, 0.95))
    return np.array(
        [
            len(x) / SAMPLE_RATE_HZ,
            10 * np.log10(np.mean(x**2) + 1e-12),
            20 * np.log10(np.abs(x).max(initial=0.0) + 1e-9),
            10 * (np.log10(spectrum).mean() - np.log10(spectrum.mean())),
            roll_off_bin * SAMPLE_RATE_HZ / _FRAME,
            loud - quiet,
        ]
    )


def _mean_power(samples: Float32) -> npt.NDArray[np.float64]:
    """(257,) mean power spectrum of 32 ms Hann frames."""
    frames = np.pad(samples, (0, -len(samples) % _FRAME)).reshape(-1, _FRAME)
    window, total = np.hanning(_FRAME), np.zeros(_FRAME // 2 + 1)
    # 2 s at a time: memory that is asked for whole is fetched anew for each recording, at twice the time.
    for begin in range(0, len(frames), 64):
        spectrum = np.fft.rfft(frames[begin : begin + 64] * window)
        total += (np.square(spectrum.real) + np.square(spectrum.imag)).sum(axis=0)
    mean: npt.NDArray[np.float64] = total / len(frames)
    return mean


def background_statistics(samples: Float32, events: Sequence[CoughEvent]) -> npt.NDArray[np.float64]:
    """What the line and the room tell without a cough: the spectrum of everything between the events.

    Parameters
    ----------
    samples : (n_samples,) float32 mono 16 kHz
    events : the coughs, left out with 0.2 s around each

    Returns
    -------
    (17,) float64: share of the recording that is left, then the mean level (dB) in 16 bands of 500 Hz,
    less their mean; zeros where less than 0.1 s is left
    """
    quiet = np.ones(len(samples), bool)
    for event in events:
        first = max(0, round((event.start_s - 0.2) * SAMPLE_RATE_HZ))
        quiet[first : round((event.end_s + 0.2) * SAMPLE_RATE_HZ)] = False
    rest = samples[quiet]
    out = np.zeros(1 + BACKGROUND_BANDS)
    out[0] = len(rest) / max(1, len(samples))
    if len(rest) < SAMPLE_RATE_HZ // 10:
        return out
    power = _mean_power(rest[: len(rest) // _FRAME * _FRAME])[1:]
    level = 10 * np.log10(power.reshape(BACKGROUND_BANDS, -1).mean(axis=1) + 1e-12)
    out[1:] = level - level.mean()
    return out
