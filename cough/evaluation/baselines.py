"""What a score is worth beside one that listens to nothing but levels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cough.audio import SAMPLE_RATE_HZ, Float32

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
    padded = np.pad(x, (0, -len(x) % size))
    spectrum = (
        np.square(np.abs(np.fft.rfft(padded.reshape(-1, size) * np.hanning(size)))).mean(axis=0) + 1e-14
    )
    roll_off_bin = int(np.searchsorted(np.cumsum(spectrum), 0.85 * spectrum.sum()))
    blocks = np.pad(x, (0, -len(x) % 400)).reshape(-1, 400)
    levels = 10 * np.log10(np.square(blocks).mean(axis=1) + 1e-12)
    return np.array(
        [
            len(x) / SAMPLE_RATE_HZ,
            10 * np.log10(np.mean(x**2) + 1e-12),
            20 * np.log10(np.abs(x).max(initial=0.0) + 1e-9),
            10 * (np.log10(spectrum).mean() - np.log10(spectrum.mean())),
            roll_off_bin * SAMPLE_RATE_HZ / size,
            np.quantile(levels, 0.95) - np.quantile(levels, 0.05),
        ]
    )
