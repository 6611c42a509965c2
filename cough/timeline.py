"""Coughs over hours as a picture: how many a minute over time, and where each one is.

Needs matplotlib (the ``eval`` extra). Readable in grey print.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cough.errors import MissingExtra
from cough.gate import CoughEvent

_BAR = "#0072b2"
_EVENT = "#d55e00"
_SUFFIXES = (".png", ".svg", ".pdf")
_UNITS = ((3600.0, "h"), (60.0, "min"), (1.0, "s"))
_BINS_MIN = (1, 2, 5, 10, 15, 30, 60, 120, 360, 1_440)
_AT_MOST = 120
"""Bars in a picture."""


def check_figure(path: Path) -> None:
    """Refuse before hours of listening what could not be drawn after them.

    Raises
    ------
    MissingExtra : matplotlib is not installed
    ValueError : the suffix of ``path`` is none of png, svg, pdf
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingExtra("Drawing needs the extra: pip install 'cough-screening[eval]'.") from error
    if path.suffix.lower() not in _SUFFIXES:
        raise ValueError(f"the picture's name must end in one of {', '.join(_SUFFIXES)}")


def rates(starts_s: Sequence[float], *, duration_s: float) -> tuple[npt.NDArray[np.float64], ...]:
    """Coughs per minute over time.

    Returns
    -------
    edges_min : (n_bins + 1,) from 0 to the end, in minutes; bins of one minute, or of more in hours
    per_minute : (n_bins,) coughs in each bin over its own length
    """
    duration_min = duration_s / 60
    width = next((width for width in _BINS_MIN if duration_min / width <= _AT_MOST), _BINS_MIN[-1])
    # A last bin of seconds would turn one cough into a spike: less than half joins the one before.
    n_bins = max(1, int(duration_min / width + 0.5))
    edges_min = np.append(width * np.arange(n_bins, dtype=np.float64), duration_min)
    counts, _ = np.histogram(np.asarray(starts_s) / 60, edges_min)
    return edges_min, counts / np.diff(edges_min)


def draw_timeline(events: Sequence[CoughEvent], *, duration_s: float, title: str, path: Path) -> None:
    """Write the picture; the format follows the suffix of ``path`` (png, svg, pdf).

    Raises
    ------
    MissingExtra, ValueError : as ``check_figure``
    OSError : the path cannot be written
    """
    check_figure(path)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    scale_s, unit = next((u for u in _UNITS if duration_s >= 2 * u[0]), _UNITS[-1])
    starts_s = np.array([event.start_s for event in events])
    edges_min, per_minute = rates(starts_s.tolist(), duration_s=duration_s)

    figure = Figure(figsize=(10, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    bars, marks = figure.subplots(2, 1, sharex=True, height_ratios=(2.4, 1))
    bars.stairs(per_minute, edges_min * 60 / scale_s, fill=True, color=_BAR)
    width_min = round(edges_min[1])
    bars.yaxis.set_major_locator(MaxNLocator(integer=True))
    bars.set_ylabel("coughs per minute" + (f"\n(mean over {width_min} min)" if width_min > 1 else ""))
    bars.set_ylim(0, 1.1 * max(1.0, float(per_minute.max())))
    marks.vlines(
        starts_s / scale_s, 0, [event.score for event in events], color=_EVENT, linewidth=0.8, alpha=0.8
    )
    marks.set_ylim(0, 1.05)
    marks.set_yticks([0, 0.5, 1])
    marks.set_ylabel("score of\neach cough")
    marks.set_xlabel(f"time ({unit})")
    marks.set_xlim(0, duration_s / scale_s)
    for axis in (bars, marks):
        axis.spines[["top", "right"]].set_visible(False)
    bars.grid(axis="y", color="0.9")
    bars.set_axisbelow(True)
    coughs = f"{len(events)} cough{'' if len(events) == 1 else 's'}"
    per_hour = f"{3600 * len(events) / duration_s:.1f} per hour"
    # Plain text: a file name may hold dollar signs.
    figure.suptitle(f"{title}: {coughs}, {per_hour}", fontsize=11, parse_math=False)
    figure.supxlabel("Research software, not a diagnosis.", fontsize=8, color="0.35")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # a file name in another script
        figure.savefig(path, dpi=130)
