"""``cough events LONG``: every cough of a recording of any length, in memory that does not grow."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from cough.audio import AudioStream, DecodeLimits, Float32
from cough.bundle import load_bundle
from cough.cli import common
from cough.errors import InputError
from cough.gate import CoughEvent, CoughGate
from cough.messages import NOTICE

LIMITS = DecodeLimits(max_bytes=1 << 40, max_seconds=31 * 24 * 3600.0)
"""A month: the stream holds about 24 s of it at a time."""


class Format(StrEnum):
    """How events are written."""

    csv = "csv"
    json = "json"
    audacity = "audacity"


Recording = Annotated[Path, typer.Argument(metavar="LONG", help="A recording of any length.")]
FormatOption = Annotated[
    Format, typer.Option("--format", help="csv; json with a summary; audacity: a label track.")
]
Output = Annotated[
    Path | None, typer.Option("-o", "--output", help="Write here, whole or not at all. Default: stdout.")
]
Figure = Annotated[
    Path | None, typer.Option("--figure", help="Draw coughs over time (png, svg, pdf; extra eval).")
]


def events(
    long: Recording,
    format: FormatOption = Format.csv,
    json_output: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    output: Output = None,
    figure: Figure = None,
    bundle: common.BundleOption = None,
) -> None:
    """Find every cough in a recording of any length: when, how sure, how many an hour."""
    with common.usage_errors():
        gate = CoughGate(load_bundle(bundle))
    try:
        stream = AudioStream(long, limits=LIMITS)
        found = list(gate.events(_shown(stream)))
    except InputError as error:
        common.report(error, str(long))
        raise typer.Exit(common.FAILED) from error
    duration_s = stream.info.duration_s
    text = as_text(found, Format.json if json_output else format, duration_s=duration_s)
    if output is None:
        common.emit(text.rstrip("\n"))
    else:
        _write_whole(output, text)
    common.err.print(
        f"{common.printable(long.name)}: {len(found)} coughs in {duration_s:.1f} s, "
        f"{coughs_per_hour(found, duration_s):.1f} an hour. {NOTICE}",
        markup=False,
    )
    if figure is not None:
        _draw(found, duration_s, long.name, figure)


def coughs_per_hour(found: list[CoughEvent], duration_s: float) -> float:
    """The rate over the whole recording."""
    return 3600 * len(found) / duration_s


def as_text(found: list[CoughEvent], format: Format, *, duration_s: float) -> str:
    """Events as CSV, as one JSON object with a summary, or as labels that Audacity imports."""
    if format is Format.json:
        body = {
            "duration_s": round(duration_s, 6),
            "coughs": len(found),
            "coughs_per_hour": round(coughs_per_hour(found, duration_s), 3),
            "events": [event.model_dump() for event in found],
            "notice": NOTICE,
        }
        return json.dumps(body) + "\n"
    if format is Format.audacity:
        return "".join(f"{e.start_s:.6f}\t{e.end_s:.6f}\tcough {e.score:.2f}\n" for e in found)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("start_s", "end_s", "score"))
    writer.writerows((e.start_s, e.end_s, round(e.score, 6)) for e in found)
    return text.getvalue()


def _shown(stream: AudioStream) -> Iterator[Float32]:
    """The pieces, with a bar on standard error: a minute of sound goes by in a blink, hours do not."""
    with Progress(
        console=common.err, transient=True, redirect_stdout=False, redirect_stderr=False
    ) as progress:
        task = progress.add_task("listening", total=1.0)
        for piece in stream:
            progress.update(task, completed=stream.share_read)
            yield piece


def _write_whole(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise typer.BadParameter(f"cannot write {path}: {error.strerror}", param_hint="--output") from error


def _draw(found: list[CoughEvent], duration_s: float, name: str, target: Path) -> None:
    with common.usage_errors():
        from cough.timeline import draw_timeline

        try:
            draw_timeline(found, duration_s=duration_s, title=common.printable(name), path=target)
        except (OSError, ValueError) as error:
            raise typer.BadParameter(f"cannot write {target}: {error}", param_hint="--figure") from error
