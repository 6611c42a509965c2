"""The drawings of a report, as SVG on white, so that they print and stand in a dark page."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

AUDIO, OTHER, LINE = "#0b5fa5", "#c2570c", "#666666"
STYLES = ("--", "-.", ":", (0, (5, 1)), (0, (1, 1)), (0, (3, 1, 1, 1)), (0, (7, 2)), (0, (2, 3)))
# Text stays text, and a drawing of the same data is the same file.
plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "cough", "font.size": 10, "axes.grid": True})
plt.rcParams.update({"grid.alpha": 0.25, "axes.spines.top": False, "axes.spines.right": False})


@dataclass(frozen=True)
class Drawing:
    """One figure with the words for whoever cannot see it."""

    name: str
    caption: str
    alt: str
    svg: str


def draw(metrics: dict[str, Any]) -> Iterator[Drawing]:
    """Every figure that the metrics have data for."""
    gate = metrics["gate"]
    if gate and gate["auroc"]:
        yield _figure(
            "gate-roc", "The gate: coughs against other sounds", _curve_alt("gate", gate), _gate, gate
        )
        yield _figure(
            "gate-precision-recall",
            "The gate: share of calls that are coughs; the line is what calling everything gives",
            f"Precision and recall of the gate: area {gate['auprc']['value']:.3f}.",
            _precision_recall,
            {**gate, "base_rate": gate["n_cough"] / (gate["n_cough"] + gate["n_other"])},
        )
    for name, condition in metrics["conditions"].items():
        if not condition.get("judged"):
            continue
        what = f"{name}: "
        yield _figure(
            f"{name}-auroc",
            f"{what}AUROC of the sound beside what needs no cough",
            "; ".join(f"{label} {f['value']:.2f}" for label, f, _ in _forest_rows(condition)),
            _forest,
            condition,
        )
        audio = condition["audio"]
        yield _figure(
            f"{name}-roc",
            f"{what}ROC; above and left of the dashed lines it is what WHO asks of a triage test (90/70)",
            _curve_alt(name, audio),
            _roc,
            condition,
        )
        yield _figure(
            f"{name}-precision-recall",
            f"{what}share of calls that are right; the line is what calling everybody gives",
            f"Precision and recall of the sound: area {audio['auprc']['value']:.2f}, "
            f"of calling everybody {audio['base_rate']:.2f}.",
            _precision_recall,
            audio,
        )
        yield _figure(
            f"{name}-calibration",
            f"{what}probability against frequency",
            f"Expected calibration error {audio['expected_calibration_error']['value']:.2f}. "
            + "; ".join(f"said {p:.2f}, found {found:.2f} of {n}" for p, found, n in audio["calibration"]),
            _calibration,
            audio,
        )
        yield _figure(
            f"{name}-decision",
            f"{what}net benefit against calling everybody or nobody",
            "Net benefit of the sound and of calling everybody: "
            + "; ".join(
                f"at {v['threshold']:.0%} {v['audio']['value']:.2f} and {v['everybody']['value']:.2f}"
                for v in audio["net_benefit"]
            ),
            _decision,
            audio,
        )
        yield _figure(
            f"{name}-abstaining",
            f"{what}accuracy on the share with the surest answers",
            "; ".join(
                f"{a['answered']:.0%} answered: {a['accuracy']['value']:.2f}" for a in audio["abstaining"]
            ),
            _abstaining,
            audio,
        )
        yield _figure(
            f"{name}-predictive",
            f"{what}what a call would mean, by prevalence (at 90 % sensitivity)",
            "; ".join(
                f"at {v['prevalence']:.1%} PPV {v['ppv']['value']:.2f}" for v in audio["predictive_values"]
            ),
            _predictive,
            audio,
        )


def _figure(name: str, caption: str, alt: str, paint: Any, data: Any) -> Drawing:
    figure, axes = plt.subplots(figsize=(5.6, 3.8), layout="constrained")
    try:
        paint(axes, data)
        sink = io.StringIO()
        figure.savefig(sink, format="svg", facecolor="white", metadata={"Date": None})
    finally:
        plt.close(figure)
    svg = sink.getvalue()
    return Drawing(name, caption, alt, svg[svg.index("<svg") :])


def _curve_alt(name: str, part: dict[str, Any]) -> str:
    figure = part["auroc"]
    return f"ROC of {name}: AUROC {figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})."


def _axes_of_roc(axes: Axes) -> None:
    axes.plot([0, 1], [0, 1], color=LINE, lw=0.8, ls=":")
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", xlim=(0, 1), ylim=(0, 1.01))


def _gate(axes: Axes, gate: dict[str, Any]) -> None:
    _axes_of_roc(axes)
    for one, style in zip(gate["comparators"], cycle(STYLES), strict=False):
        axes.plot(*zip(*one["curve"], strict=True), color=OTHER, lw=1, ls=style, label=one["name"])
    axes.plot(*zip(*gate["curve"], strict=True), color=AUDIO, label="gate")
    axes.legend(fontsize=8, frameon=False, loc="lower right")
    axes.plot(1 - gate["specificity"]["value"], gate["sensitivity"]["value"], "o", color=OTHER)
    axes.annotate(
        "shipped threshold",
        (1 - gate["specificity"]["value"], gate["sensitivity"]["value"]),
        xytext=(14, -16),
        textcoords="offset points",
    )


def _precision_recall(axes: Axes, part: dict[str, Any]) -> None:
    axes.axhline(part["base_rate"], color=LINE, lw=0.8, ls=":")
    axes.plot(*zip(*part["precision_recall"], strict=True), color=AUDIO)
    axes.set(xlabel="sensitivity", ylabel="positive predictive value", xlim=(0, 1), ylim=(0, 1.01))


def _roc(axes: Axes, condition: dict[str, Any]) -> None:
    _axes_of_roc(axes)
    for one, style in zip(condition["comparators"], cycle(STYLES), strict=False):
        axes.plot(*zip(*one["curve"], strict=True), color=OTHER, lw=1, ls=style, label=one["name"])
    axes.plot(*zip(*condition["audio"]["curve"], strict=True), color=AUDIO, lw=2, label="sound")
    for draw, at in ((axes.axhline, 0.9), (axes.axvline, 0.3)):
        draw(at, color="black", lw=0.8, ls="--")
    axes.legend(fontsize=8, frameon=False, loc="lower right")


def _forest_rows(condition: dict[str, Any]) -> list[tuple[str, dict[str, float], str]]:
    rows = [("sound", condition["audio"]["auroc"], AUDIO)]
    for matched in condition["matched"]:
        if matched["auroc"]:
            rows.append((f"sound, {matched['method']} matching", matched["auroc"], AUDIO))
    rows += [(one["name"], one["auroc"], OTHER) for one in condition["comparators"]]
    return rows


def _forest(axes: Axes, condition: dict[str, Any]) -> None:
    rows = _forest_rows(condition)
    for y, (_, figure, colour) in enumerate(rows):
        axes.plot([figure["low"], figure["high"]], [y, y], color=colour, lw=2)
        axes.plot(figure["value"], y, "o", color=colour)
        axes.annotate(
            f"{figure['value']:.2f}",
            (figure["value"], y),
            xytext=(0, 6),
            textcoords="offset points",
            ha="center",
        )
    axes.axvline(0.5, color=LINE, lw=0.8, ls=":")
    axes.set_yticks(range(len(rows)), [label for label, _, _ in rows])
    axes.set(xlabel="AUROC, 95 % interval over subjects", ylim=(len(rows) - 0.4, -0.7))


def _calibration(axes: Axes, audio: dict[str, Any]) -> None:
    axes.plot([0, 1], [0, 1], color=LINE, lw=0.8, ls=":")
    p, frequency, n = (list(column) for column in zip(*audio["calibration"], strict=True))
    axes.plot(p, frequency, "o-", color=AUDIO)
    for x, y, count in zip(p, frequency, n, strict=True):
        axes.annotate(str(count), (x, y), xytext=(4, -11), textcoords="offset points", fontsize=8)
    axes.set(xlabel="probability said", ylabel="frequency found", xlim=(0, 1), ylim=(-0.02, 1.02))


def _band(axes: Axes, x: list[float], figures: list[dict[str, float]], *, color: str, **style: Any) -> None:
    """A line through the values, and their intervals as a band behind it."""
    low, high = ([figure[end] for figure in figures] for end in ("low", "high"))
    axes.fill_between(x, low, high, color=color, alpha=0.15, lw=0)
    axes.plot(x, [figure["value"] for figure in figures], color=color, **style)


def _decision(axes: Axes, audio: dict[str, Any]) -> None:
    points = audio["net_benefit"]
    x = [point["threshold"] for point in points]
    _band(axes, x, [point["audio"] for point in points], color=AUDIO, lw=2, label="sound")
    _band(axes, x, [point["everybody"] for point in points], color=OTHER, ls="--", label="everybody")
    axes.axhline(0, color=LINE, lw=0.8, label="nobody")
    top = max(point["audio"]["high"] for point in points)
    axes.set(xlabel="threshold probability", ylabel="net benefit", ylim=(-0.15, max(0.1, top) * 1.15))
    axes.legend(frameon=False)


def _abstaining(axes: Axes, audio: dict[str, Any]) -> None:
    points = audio["abstaining"]
    _band(axes, [p["answered"] for p in points], [p["accuracy"] for p in points], marker="o", color=AUDIO)
    axes.set(xlabel="share answered", ylabel="accuracy", xlim=(0, 1.05), ylim=(0, 1.02))


def _predictive(axes: Axes, audio: dict[str, Any]) -> None:
    points = audio["predictive_values"]
    x = [point["prevalence"] for point in points]
    _band(axes, x, [point["ppv"] for point in points], marker="o", color=AUDIO, label="PPV")
    _band(axes, x, [point["npv"] for point in points], marker="s", ls="--", color=OTHER, label="NPV")
    axes.set(xscale="log", xlabel="prevalence", ylabel="predictive value", ylim=(0, 1.02))
    axes.set_xticks(x, [f"{v:.1%}" for v in x], rotation=30)
    axes.minorticks_off()
    axes.legend(frameon=False)
