"""Robustness as a picture: how far scores move, and how many clips change sides.

For print at the width of a page: coughs are filled dark blue circles, other sounds open orange
squares, which differ in grey and to colour-blind eyes, and by shape as well.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

WIDTH_IN = 7.0
DPI = 170
GROUPS: dict[str, dict[str, Any]] = {
    "coughs": {"color": "#0b3c6f", "marker": "o", "markerfacecolor": "#0b3c6f", "offset": -0.17},
    "others": {"color": "#c96a00", "marker": "s", "markerfacecolor": "white", "offset": 0.17},
}
SMALLEST = 1e-4
"""Changes below are drawn here: the axis is logarithmic."""
_STYLE = {
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "ytick.left": False,
    "lines.markersize": 4.5,
    "lines.markeredgewidth": 1.1,
    "legend.frameon": False,
}


def draw_robustness(result: dict[str, Any], path: Path, *, small_change: float, same_side: float) -> None:
    """Write the figure of ``training.robustness``' result as a PNG of 64 colours.

    Parameters
    ----------
    small_change, same_side : where the targets' dashed lines stand; a change of score, a share of clips
    """
    rows = list(result["disturbances"].values())
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(WIDTH_IN, 1.15 + 0.235 * len(rows)), layout="constrained", dpi=DPI)
        canvas = FigureCanvasAgg(figure)
        figure.suptitle(f"{result['bundle_id']}: {result['title'].lower()}", fontsize=9)
        changes, sides = figure.subplots(1, 2, sharey=True, width_ratios=(1.25, 1))
        for group, style in GROUPS.items():
            _draw_changes(changes, rows, group, style, label=f"{result[group]} {group}")
            _draw_sides(sides, rows, group, style)
        changes.set_title("score change: median, line to the 95th percentile")
        changes.set(
            xscale="log", xlim=(0.8 * SMALLEST, 1.05), xlabel="change of the clip's score (log scale)"
        )
        ticks = (SMALLEST, 0.001, 0.01, 0.05, 0.2, 1)
        changes.set_xticks(ticks, [f"≤{SMALLEST:g}" if t == SMALLEST else f"{t:g}" for t in ticks])
        changes.minorticks_off()
        changes.axvline(small_change, color="black", linestyle="--", linewidth=0.9)
        changes.set_yticks(range(len(rows)), [row["title"] for row in rows])
        changes.set_ylim(len(rows) - 0.5, -0.5)
        sides.set_title("clips on the same side of the threshold")
        sides.set(xlabel="% of clips")
        sides.axvline(100 * same_side, color="black", linestyle="--", linewidth=0.9)
        handles, labels = changes.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2)
        canvas.draw()
    pixels = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    pixels.quantize(64).save(path, optimize=True, dpi=(DPI, DPI))


def _draw_changes(
    axes: Axes, rows: list[dict[str, Any]], group: str, style: dict[str, Any], *, label: str
) -> None:
    at = np.arange(len(rows)) + style["offset"]
    median, high = (
        np.maximum([row[group][name] for row in rows], SMALLEST) for name in ("median_change", "p95_change")
    )
    axes.hlines(at, median, high, color=style["color"], linewidth=1.4)
    axes.plot(high, at, linestyle="none", marker="|", color=style["color"])
    axes.plot(median, at, linestyle="none", label=label, **_marker(style))


def _draw_sides(axes: Axes, rows: list[dict[str, Any]], group: str, style: dict[str, Any]) -> None:
    at = np.arange(len(rows)) + style["offset"]
    axes.plot([100 * row[group]["same_side"] for row in rows], at, linestyle="none", **_marker(style))


def _marker(style: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in style.items() if name != "offset"}
