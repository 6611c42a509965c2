"""Writes an evaluation down: one HTML page, a markdown summary, ``metrics.json``."""

from __future__ import annotations

import json
import math
import os
import shutil
from pathlib import Path
from typing import Any

import jinja2

from cough import errors
from cough.evaluation.figures import Drawing, draw
from cough.evaluation.verdict import TOGETHER

FILES = PAGE, SUMMARY, METRICS = "report.html", "summary.md", "metrics.json"
HALF = tuple(f".{name}.partial" for name in FILES)
"""Begin the names of files that a killed run left half written."""


def check_out(out: Path) -> None:
    """Refuse before the work a folder that ``write_report`` could not make or replace.

    Raises
    ------
    PredictionsInvalid : ``out`` holds other things than an earlier report
    OutputUnwritable : it is the current folder, or no folder can be made there
    """
    try:
        if out.exists() and (
            not out.is_dir() or {p.name for p in out.iterdir() if not p.name.startswith(HALF)} - {*FILES}
        ):
            raise errors.PredictionsInvalid(f"{out} holds other things than a report. Choose another folder.")
        if out.resolve() == Path.cwd().resolve():
            raise errors.OutputUnwritable(
                f"{out} is the current folder, and a report takes the place of its folder. Choose another."
            )
        above = next(folder for folder in out.absolute().parents if folder.exists())
    except OSError as error:
        raise errors.OutputUnwritable(f"{out} cannot be written: {error.strerror or error}.") from error
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise errors.OutputUnwritable(
            f"{out} cannot be written: it would lie in no folder, or in one that is not yours."
        )


def write_report(metrics: dict[str, Any], out: Path, *, title: str) -> None:
    """Write the three files into ``out``, each whole or not at all.

    Raises
    ------
    PredictionsInvalid, OutputUnwritable : as ``check_out``; or the system refuses
    """
    check_out(out)
    title = title.encode("utf-8", "replace").decode()
    texts = {
        PAGE: render("report.html", metrics, title, list(draw(metrics))),
        SUMMARY: render("summary.md", metrics, title, []),
        METRICS: json.dumps(finite(metrics), indent=1, allow_nan=False) + "\n",
    }
    made = not out.exists()
    # Beside their places, so that a folder that cannot be replaced itself, a mounted one, takes them, too.
    partial = {name: out / f"{half}{os.getpid()}" for name, half in zip(FILES, HALF, strict=True)}
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            partial[name].write_text(text, encoding="utf-8")
        for name, path in partial.items():
            path.replace(out / name)
    except OSError as error:
        for path in partial.values():
            path.unlink(missing_ok=True)
        if made:
            shutil.rmtree(out, ignore_errors=True)
        raise errors.OutputUnwritable(f"{out} cannot be written: {error.strerror or error}.") from error


def render(template: str, metrics: dict[str, Any], title: str, drawings: list[Drawing]) -> str:
    """One of the two texts."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("cough.evaluation"),
        autoescape=template.endswith(".html"),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"ci": _ci, "num": _number, "percent": _percent, "p": _p_value, "cell": _cell}
    text = environment.get_template(template).render(
        m=metrics, title=title, drawings=drawings, together=TOGETHER
    )
    return text.rstrip() + "\n"


def finite(value: Any) -> Any:
    """JSON has no NaN: None instead."""
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float):
        # Digits that count, not places: a p-value or a threshold of 1e-8 is not 0.
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value


def _number(value: float | None, digits: int = 2) -> str:
    if value is not None and math.isinf(value):
        return "complete"
    return "-" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def _p_value(value: float | None) -> str:
    return "<0.001" if value is not None and value < 0.001 else _number(value, 3)


def _cell(text: str) -> str:
    """A word of the manifest inside a markdown table."""
    return " ".join(text.split()).replace("|", r"\|").replace("<", "&lt;")


def _ci(figure: dict[str, float] | None, digits: int = 2) -> str:
    if figure is None or not math.isfinite(figure["value"]):
        return "too few"
    value, low, high = (_number(figure[key], digits) for key in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def _percent(value: float | None, digits: int = 0) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{100 * value:.{digits}f} %"
