"""A screening as a picture: waveform and spectrogram with the coughs shaded, the verdict above.

Needs matplotlib (the ``eval`` extra). Colours are distinct in grey print and for colour-blind eyes.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from cough.audio import SAMPLE_RATE_HZ, Waveform
from cough.errors import MissingExtra
from cough.screener import ScreeningResult

_EVENT = "#d55e00"
_WAVE = "#0072b2"


def draw_screening(waveform: Waveform, result: ScreeningResult, *, title: str, path: Path) -> None:
    """Write the picture; the format follows the suffix of ``path`` (png, svg, pdf).

    Raises
    ------
    MissingExtra : matplotlib is not installed
    OSError, ValueError : the path cannot be written or its suffix names no picture format
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra("Drawing needs the extra: pip install 'cough-screening[eval]'.") from error
    figure = Figure(figsize=(10, 5.2), layout="constrained")
    FigureCanvasAgg(figure)
    wave, spectrum = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1.6))

    samples = waveform.samples
    time = np.arange(len(samples)) / SAMPLE_RATE_HZ
    wave.plot(time, samples, color=_WAVE, linewidth=0.5)
    wave.set_ylabel("amplitude")
    wave.set_ylim(
        -1.05 * max(0.05, float(np.abs(samples).max())), 1.05 * max(0.05, float(np.abs(samples).max()))
    )

    levels = _spectrogram_db(samples)
    spectrum.imshow(
        levels,
        origin="lower",
        aspect="auto",
        extent=(0.0, waveform.duration_s, 0.0, SAMPLE_RATE_HZ / 2000),
        cmap="gray_r",
        vmin=float(levels.max()) - 80,
        vmax=float(levels.max()),
    )
    spectrum.set_ylabel("frequency (kHz)")
    spectrum.set_xlabel("time (s)")
    for event in result.events:
        for axis in (wave, spectrum):
            axis.axvspan(event.start_s, event.end_s, color=_EVENT, alpha=0.22, linewidth=0)
        wave.annotate(
            f"{event.score:.2f}",
            ((event.start_s + event.end_s) / 2, 1.0),
            xycoords=("data", "axes fraction"),
            ha="center",
            va="bottom",
            fontsize=8,
            color=_EVENT,
        )
    wave.set_xlim(0, waveform.duration_s)
    # Plain text: a file name may hold dollar signs.
    figure.suptitle(f"{title}: {_verdict(result)}", fontsize=11, parse_math=False)
    figure.supxlabel("Research software, not a diagnosis.", fontsize=8, color="0.35")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # a file name in another script
        figure.savefig(path, dpi=130)


def _verdict(result: ScreeningResult) -> str:
    parts = [f"{result.outcome}, cough score {result.cough_score:.2f}"]
    parts += [reason.code for reason in result.reasons]
    parts += [f"{c.name} {c.answer}" for c in result.conditions]
    return ", ".join(parts)


def _spectrogram_db(samples: np.ndarray) -> np.ndarray:
    """(257, n_frames) power in dB; 32 ms Hann frames every 8 ms."""
    size, hop = 512, 128
    padded = np.pad(samples, (size // 2, size))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    power = np.square(np.abs(np.fft.rfft(frames * np.hanning(size), axis=1)))
    return np.asarray(10 * np.log10(power.T + 1e-9))
