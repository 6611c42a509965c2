"""Coughs over hours as a picture: how many in each stretch of time, and where each one is.

Needs matplotlib (the ``eval`` extra). Readable in grey print.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cough.errors import MissingExtra
from cough.gate import CoughEvent

_BAR = "#0072b2"
_EVENT = "#d55e00"
_UNITS = ((3600.0, "h"), (60.0, "min"), (1.0, "s"))
_BINS_S = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1_200, 3_600)


def bin_s(duration_s: float, *, at_most: int = 60) -> int:
    """The shortest round stretch of time, seconds, of which ``at_most`` cover the recording."""
    return next((b for b in _BINS_S if duration_s / b <= at_most), _BINS_S[-1])


def draw_timeline(events: Sequence[CoughEvent], *, duration_s: float, title: str, path: Path) -> None:
    """Write the picture; the format follows the suffix of ``path`` (png, svg, pdf).

    Raises
    ------
    MissingExtra : matplotlib is not installed
    OSError, ValueError : the path cannot be written or its suffix names no picture format
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ImportError as error:
        raise MissingExtra("Drawing needs the extra: pip install 'cough-screening[eval]'.") from error
    width_s = bin_s(duration_s)
    unit, name = next((u for u in _UNITS if duration_s >= 2 * u[0]), _UNITS[-1])
    starts_s = np.array([event.start_s for event in events])
    edges_s = np.arange(0, duration_s + width_s, width_s)
    counts, _ = np.histogram(starts_s, edges_s)

    figure = Figure(figsize=(10, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    bars, marks = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    bars.bar(edges_s[:-1] / unit, counts, width_s / unit, align="edge", color=_BAR, edgecolor="white")
    stretch = f"{width_s} s" if width_s < 60 else f"{width_s // 60} min"
    bars.set_ylabel(f"coughs in {stretch}")
    bars.yaxis.set_major_locator(MaxNLocator(integer=True))
    bars.set_ylim(0, max(1, int(counts.max(initial=0))) * 1.1)
    bars.spines[["top", "right"]].set_visible(False)
    marks.vlines(starts_s / unit, 0, [event.score for event in events], color=_EVENT, linewidth=0.8)
    marks.set_ylim(0, 1)
    marks.set_ylabel("score")
    marks.set_xlabel(f"time ({name})")
    marks.spines[["top", "right"]].set_visible(False)
    marks.set_xlim(0, duration_s / unit)
    per_hour = 3600 * len(events) / duration_s
    # Plain text: a file name may hold dollar signs.
    figure.suptitle(f"{title}: {len(events)} coughs, {per_hour:.1f} an hour", fontsize=11, parse_math=False)
    figure.supxlabel("Research software, not a diagnosis.", fontsize=8, color="0.35")
    figure.savefig(path, dpi=130)
