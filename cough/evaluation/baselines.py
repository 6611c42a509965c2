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
    size = 512
    frames = np.pad(x, (0, -len(x) % size)).reshape(-1, size)
    transformed = np.fft.rfft(frames * np.hanning(size))
    spectrum = (np.square(transformed.real) + np.square(transformed.imag)).mean(axis=0) + 1e-14
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
            roll_off_bin * SAMPLE_RATE_HZ / size,
            loud - quiet,
        ]
    )


BACKGROUND_BANDS = 16


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
    rest = samples[quiet].astype(np.float64)
    out = np.zeros(1 + BACKGROUND_BANDS)
    out[0] = len(rest) / max(1, len(samples))
    if len(rest) < SAMPLE_RATE_HZ // 10:
        return out
    size = 512
    frames = rest[: len(rest) // size * size].reshape(-1, size) * np.hanning(size)
    power = np.square(np.abs(np.fft.rfft(frames))).mean(axis=0)[1:]
    level = 10 * np.log10(power.reshape(BACKGROUND_BANDS, -1).mean(axis=1) + 1e-12)
    out[1:] = level - level.mean()
    return out
