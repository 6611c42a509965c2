"""``cough events FILE``: every cough of a recording of any length, in memory that does not grow."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterator
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cough.audio import AudioStream, Float32
from cough.bundle import load_bundle
from cough.cli import common
from cough.errors import InputError
from cough.gate import CoughEvent, CoughGate
from cough.messages import NOTICE, NOTICE_CODE

_BAR_AFTER_S = 2.0


class Format(StrEnum):
    """How events are written."""

    csv = "csv"
    json = "json"
    audacity = "audacity"


Recording = Annotated[Path, typer.Argument(metavar="FILE", help="A recording of any length.")]
FormatOption = Annotated[
    Format, typer.Option("--format", help="csv; json with a summary; audacity: a label track.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="The same as --format json.")]
Output = Annotated[
    Path | None, typer.Option("-o", "--output", help="Write here, whole or not at all. Default: stdout.")
]
Figure = Annotated[
    Path | None, typer.Option("--figure", help="Draw coughs over time (png, svg, pdf; extra eval).")
]


def events(
    file: Recording,
    format: FormatOption = Format.csv,
    json_output: JsonOption = False,
    output: Output = None,
    figure: Figure = None,
    bundle: common.BundleOption = None,
) -> None:
    """Find every cough in a recording of any length: when, how sure, how many an hour."""
    if json_output and format is Format.audacity:
        raise typer.BadParameter("says otherwise than --format audacity", param_hint="--json")
    if output is not None:
        common.check_target(output, option="--output", source=file)
    with common.usage_errors():
        if figure is not None:
            from cough.timeline import check_figure, draw_timeline

            common.check_target(figure, option="--figure", source=file)
            try:
                check_figure(figure)
            except ValueError as error:
                raise typer.BadParameter(str(error), param_hint="--figure") from error
        gate = CoughGate(load_bundle(bundle))
    try:
        stream = AudioStream(file)
        found = list(gate.events(_shown(stream)))
    except InputError as error:
        common.fail(error, file, as_json=json_output or format is Format.json)
        raise typer.Exit(common.FAILED) from error
    duration_s = stream.info.duration_s
    text = as_text(found, Format.json if json_output else format, file=file, duration_s=duration_s)
    if output is not None:
        with common.replacing(output, option="--output") as partial:
            partial.write_text(text, encoding="utf-8")
    elif text:
        common.emit(text.removesuffix("\n"))
    name = common.printable(file.name)
    common.err.print(
        f"{name}: {len(found)} cough{'' if len(found) == 1 else 's'} in "
        f"{timedelta(seconds=round(duration_s))} (h:mm:ss), "
        f"{coughs_per_hour(found, duration_s):.1f} per hour. {NOTICE}",
        markup=False,
    )
    if figure is not None:
        with common.replacing(figure, option="--figure") as partial:
            draw_timeline(found, duration_s=duration_s, title=name, path=partial)


def coughs_per_hour(found: list[CoughEvent], duration_s: float) -> float:
    """The rate over the whole recording."""
    return 3600 * len(found) / duration_s


def as_text(found: list[CoughEvent], format: Format, *, file: Path, duration_s: float) -> str:
    """Events as CSV, as one JSON object with a summary, or as labels that Audacity imports."""
    if format is Format.json:
        body = {
            "file": str(file),
            "duration_s": round(duration_s, 6),
            "coughs": len(found),
            "coughs_per_hour": round(coughs_per_hour(found, duration_s), 3),
            "events": [event.model_dump() for event in found],
            "notice": NOTICE_CODE,
            "notice_text": NOTICE,
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
    """The pieces, with a bar on the terminal: minutes of sound go by in a blink, hours do not."""
    began = time.monotonic()
    bar = common.progress()
    task = bar.add_task("listening", total=1.0)
    try:
        for piece in stream:
            bar.update(task, completed=stream.share_read)
            if not bar.live.is_started and time.monotonic() - began > _BAR_AFTER_S:
                bar.start()
            yield piece
    finally:
        bar.stop()
