"""Figures of a gate's clip scores, mn04's in each of them where it was asked.

For print at the width of a page (7 inches, type of 7-8 pt): ours is a solid dark blue, mn04 a dashed
orange, which differ in grey and to colour-blind eyes, and by shape as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_curve

from cough.evaluation.metrics import auroc, expected_calibration_error, wilson
from training.gate_table import Clips

WIDTH_IN = 7.0
DPI = 170
OURS = {"color": "#0b3c6f", "linestyle": "-"}
MN04 = {"color": "#e08214", "linestyle": (0, (4, 1.5))}
STYLES = {"ours": OURS, "mn04": MN04}
MARKERS = {"ours": "o", "mn04": "s"}
EVENT_PANELS = 15
"""Event classes with a histogram of their own; the rest share one."""

_SCORE_TICKS = {-9.21: "$10^{-4}$", -4.6: "0.01", 0.0: "0.5", 4.6: "0.99"}
"""Log-odds and what they say as a probability."""
_STYLE = {
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
    "lines.markeredgewidth": 1.2,
    "legend.frameon": False,
}


def draw_all(clips: Clips, folder: Path, *, title: str) -> None:
    """Write every figure as PNG into ``folder``; ``title`` says which gate and which clips."""
    for name, draw in FIGURES.items():
        draw(clips, folder / f"{name}.png", title=title)


def draw_roc(clips: Clips, path: Path, *, title: str) -> None:
    """ROC per source of coughs, each against all other sounds. False accepts on a log axis."""
    with _panels(clips, path, title=f"ROC, {title}") as panels:
        for axes, ranked in panels:
            cough, areas = clips.cough[ranked], []
            for name, detector in clips.asked.items():
                scores, accepted = detector.scores[ranked], detector.accepted[ranked]
                false_accepts, found, _ = roc_curve(cough, scores, drop_intermediate=False)
                axes.plot(
                    100 * false_accepts, 100 * found, drawstyle="steps-post", label=name, **STYLES[name]
                )
                axes.plot(
                    100 * accepted[~cough].mean(),
                    100 * accepted[cough].mean(),
                    marker=MARKERS[name],
                    color=STYLES[name]["color"],
                    markerfacecolor="white",
                    linestyle="none",
                    label=f"{name} at its threshold",
                )
                areas.append(f"{name} {auroc(cough, scores):.3f}")
            axes.set_title(f"{axes.get_title()}\nAUROC: {', '.join(areas)}")
            axes.set(xscale="log", xlim=(95 / (~cough).sum(), 100), ylim=(0, 102))
            axes.set_xticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
            axes.set(xlabel="false accepts (% of other clips)", ylabel="sensitivity (%)")


def draw_precision_recall(clips: Clips, path: Path, *, title: str) -> None:
    """Precision against recall per source of coughs, each against all other sounds."""
    with _panels(clips, path, title=f"Precision, recall and average precision (AP), {title}") as panels:
        for axes, ranked in panels:
            cough, areas = clips.cough[ranked], []
            for name, detector in clips.asked.items():
                scores = detector.scores[ranked]
                precision, recall, _ = precision_recall_curve(cough, scores)
                axes.plot(100 * recall, 100 * precision, drawstyle="steps-pre", label=name, **STYLES[name])
                areas.append(f"{name} {average_precision_score(cough, scores):.3f}")
            axes.axhline(
                100 * cough.mean(),
                color="0.4",
                linewidth=0.8,
                linestyle=":",
                label="share of coughs = chance",
            )
            axes.set_title(f"{axes.get_title()}\nAP: {', '.join(areas)}")
            axes.set(xlim=(0, 102), ylim=(0, 102), xticks=(0, 50, 100))
            axes.set(xlabel="recall = sensitivity (%)", ylabel="precision (%)")


def draw_scores(clips: Clips, path: Path, *, title: str) -> None:
    """Score histograms by event, ours upwards and mn04 downwards, thresholds drawn."""
    named = _events_worth_a_panel(clips)
    panels = [("cough", clips.cough), *((event, clips.events == event) for event in named)]
    rest = ~clips.cough & ~np.isin(clips.events, named)
    if rest.any():
        panels.append((f"{len(set(clips.events[rest]))} other classes", rest))
    columns, bins = 4, np.arange(-11.0, 9.1, 0.5)
    lines = -(-len(panels) // columns)
    with _page(path, 1.12 * lines + 0.75, title=f"Clip scores by event (clips), {title}") as figure:
        grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
        for axes, (name, here) in zip(grid.flat, panels, strict=False):
            for key, detector in clips.asked.items():
                sign = 1 if key == "ours" else -1
                counts, _ = np.histogram(_log_odds(detector.scores[here]).clip(-10.9, 8.9), bins)
                shares = 100 * sign * counts / here.sum()
                axes.stairs(shares, bins, fill=True, color=STYLES[key]["color"])
                limit = _log_odds(np.array([detector.threshold]))
                axes.plot([limit, limit], [0, sign * 100], color="black", linestyle="--", linewidth=0.9)
            axes.axhline(0, color="black", linewidth=0.6)
            axes.set_title(f"{name.replace('_', ' ')} ({here.sum()})", pad=2)
        for axes in grid.flat[len(panels) :]:
            axes.remove()
        grid[0, 0].set_xticks(list(_SCORE_TICKS), list(_SCORE_TICKS.values()))
        grid[0, 0].set_yscale("function", functions=(_signed_root, _signed_square))
        grid[0, 0].set_ylim(-100, 100)
        grid[0, 0].set_yticks([-100, -50, -10, 0, 10, 50, 100], ["100", "50", "10", "0", "10", "50", "100"])
        figure.supxlabel(
            "clip score (log-odds scale; the outer bins hold everything beyond; dashed: thresholds)",
            fontsize=8,
        )
        figure.supylabel("% of clips (root scale): mn04 below, ours above", fontsize=8)


def draw_reliability(clips: Clips, path: Path, *, title: str) -> None:
    """How often a clip of each score is a cough, with Wilson intervals, and how many there are."""
    edges = np.linspace(0, 1, 11)
    with _page(
        path, 3.4, title=f"Reliability, {title} (bars: 95 % Wilson; mn04 is calibrated on AudioSet)"
    ) as figure:
        grid = figure.subplots(
            2, len(clips.asked), squeeze=False, sharex=True, sharey="row", height_ratios=(2.4, 1)
        )
        for column, (name, detector) in enumerate(clips.asked.items()):
            curve, counts = grid[:, column]
            index = np.minimum((detector.scores * 10).astype(int), 9)
            curve.plot([0, 1], [0, 1], color="0.5", linewidth=0.8, linestyle=":", zorder=1)
            bins = np.unique(index)
            seen = np.array([clips.cough[index == b].mean() for b in bins])
            said = np.array([detector.scores[index == b].mean() for b in bins])
            bounds = np.array([wilson(clips.cough[index == b].mean(), int((index == b).sum())) for b in bins])
            errors = np.clip([seen - bounds[:, 0], bounds[:, 1] - seen], 0, 1)
            curve.errorbar(said, seen, errors, marker="o", markersize=3.5, capsize=2, **STYLES[name])
            error = expected_calibration_error(clips.cough, detector.scores)
            curve.set_title(f"{name}, expected calibration error {error:.3f}")
            counts.stairs(np.bincount(index, minlength=10), edges, fill=True, color=STYLES[name]["color"])
            counts.set(yscale="log", ylim=(0.7, 3 * len(index)), xlabel="clip score")
        grid[0, 0].set(xlim=(0, 1), ylim=(0, 1.02), ylabel="share that is coughs")
        grid[1, 0].set_ylabel("clips")


def draw_specificities(clips: Clips, path: Path, *, title: str) -> None:
    """Specificity on each event, ours and mn04 at the same pooled sensitivity, worst on top."""
    events = np.unique(clips.events[~clips.cough])
    sizes = {event: int((clips.events == event).sum()) for event in events}
    kept = {event: float((~clips.ours.accepted[clips.events == event]).mean()) for event in events}
    order = sorted(events, key=lambda event: (kept[event], -sizes[event]))
    with _page(path, 0.15 * len(order) + 1.0, title=f"Specificity by event (clips), {title}") as figure:
        axes = figure.subplots()
        for y, event in enumerate(order):
            here = clips.events == event
            for name, detector in reversed(clips.asked.items()):
                shift = 0.17 if name == "mn04" else -0.17
                refused = ~detector.accepted[here]
                low, high = wilson(refused.mean(), len(refused))
                color = STYLES[name]["color"]
                axes.plot([100 * low, 100 * high], [y + shift] * 2, color=color, linewidth=0.8, alpha=0.6)
                axes.plot(
                    100 * refused.mean(),
                    y + shift,
                    marker=MARKERS[name],
                    markersize=4,
                    color=color,
                    markerfacecolor=color if name == "ours" else "white",
                    linestyle="none",
                    label=name if y == 0 else None,
                    clip_on=False,
                    zorder=3,
                )
        axes.set_yticks(range(len(order)), [f"{e.replace('_', ' ')} ({sizes[e]})" for e in order])
        axes.set(xlim=(0, 101), ylim=(len(order) - 0.4, -0.6))
        axes.set_xlabel("specificity (% of clips not taken for a cough; lines: 95 % Wilson intervals)")
        found = 100 * clips.ours.accepted[clips.cough].mean()
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(
            handles[::-1],
            [f"{label} at {found:.1f} % sensitivity" for label in labels[::-1]],
            loc="outside lower center",
            ncols=2,
        )


def _events_worth_a_panel(clips: Clips) -> list[str]:
    """The hard ones and the largest others, largest first."""
    names, sizes = np.unique(clips.events[~clips.cough], return_counts=True)
    size = dict(zip(names.tolist(), sizes.tolist(), strict=True))
    hard = set(clips.events[clips.hard].tolist())
    ranked = sorted(size, key=lambda event: (event not in hard, -size[event]))[: EVENT_PANELS - 1]
    return sorted(ranked, key=lambda event: -size[event])


@contextmanager
def _panels(clips: Clips, path: Path, *, title: str) -> Iterator[list[tuple[Axes, np.ndarray]]]:
    """Axes for all coughs and for each source of coughs, with the clips that each is about."""
    others = ~clips.cough
    masks = [("all sources", np.ones_like(clips.cough))]
    masks += [
        (str(source), others | (clips.sources == source)) for source in np.unique(clips.sources[clips.cough])
    ]
    columns = min(3, len(masks))
    lines = -(-len(masks) // columns)
    title = f"{title}, against all {others.sum()} other clips"
    with _page(path, 2.1 * lines + 0.6, title=title) as figure:
        grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel()
        for axes, (name, ranked) in zip(grid, masks, strict=False):
            axes.set_title(f"{name}, {(clips.cough & ranked).sum()} coughs")
        for axes in grid[len(masks) :]:
            axes.remove()
        yield [(axes, ranked) for axes, (_, ranked) in zip(grid, masks, strict=False)]
        for i, axes in enumerate(grid[: len(masks)]):
            lowest = i + columns >= len(masks)
            axes.tick_params(labelbottom=lowest)
            axes.set_xlabel(axes.get_xlabel() if lowest else "")
            axes.set_ylabel("" if i % columns else axes.get_ylabel())
        figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)


def _signed_root(x: np.ndarray) -> np.ndarray:
    return np.sign(x) * np.sqrt(np.abs(x))


def _signed_square(x: np.ndarray) -> np.ndarray:
    return np.sign(x) * np.square(x)


def _log_odds(scores: np.ndarray) -> np.ndarray:
    kept = np.clip(scores, 1e-6, 1 - 1e-6)
    return np.log(kept / (1 - kept))


@contextmanager
def _page(path: Path, height_in: float, *, title: str) -> Iterator[Figure]:
    """A figure to draw on; written as a PNG of 64 colours (a third of the size) when done."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained", dpi=DPI)
        canvas = FigureCanvasAgg(figure)
        figure.suptitle(title, fontsize=9)
        yield figure
        canvas.draw()
    pixels = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    pixels.quantize(64).save(path, optimize=True, dpi=(DPI, DPI))


FIGURES = {
    "roc": draw_roc,
    "precision_recall": draw_precision_recall,
    "scores": draw_scores,
    "reliability": draw_reliability,
    "specificities": draw_specificities,
}
"""File name without suffix, and who draws it."""
