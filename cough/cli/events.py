"""``cough events FILE``: every cough of a recording of any length, in memory that does not grow."""

from __future__ import annotations

import csv
import io
import json
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from cough.audio import SAMPLE_RATE_HZ, AudioStream, Float32
from cough.bundle import load_bundle
from cough.cli import common
from cough.errors import BundleIncompatible, InputError
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
    Format | None,
    typer.Option(
        "--format",
        help="csv; json with a summary; audacity: a label track. Default: json for -o NAME.json, else csv.",
    ),
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
    format: FormatOption = None,
    json_output: JsonOption = False,
    output: Output = None,
    figure: Figure = None,
    bundle: common.BundleOption = None,
) -> None:
    """Find every cough in a recording of any length: when, how sure, how many an hour."""
    if json_output and format is Format.audacity:
        raise typer.BadParameter("says otherwise than --format audacity", param_hint="--json")
    if json_output or (format is None and output is not None and output.suffix == ".json"):
        format = Format.json
    format = format or Format.csv
    if output is not None:
        common.check_target(output, option="--output", source=file)
    with common.usage_errors():
        if figure is not None:
            from cough.timeline import check_figure, draw_timeline

            common.check_target(figure, option="--figure", source=file)
            if output is not None and output.resolve() == figure.resolve():
                raise typer.BadParameter("is the file of --output", param_hint="--figure")
            try:
                check_figure(figure)
            except ValueError as error:
                raise typer.BadParameter(str(error), param_hint="--figure") from error
        gate = CoughGate(load_bundle(bundle))
    name = common.printable(file.name)
    # A reader of a pipe has every cough at once; on a terminal they would run into the bar, and a picture is
    # drawn whether or not the reader has gone.
    in_rows = output is None and format is not Format.json
    at_once = in_rows and figure is None and not sys.stdout.isatty()
    found: list[CoughEvent] = []
    listening = _Listening(file)
    try:
        for event in gate.events(listening.pieces()):
            if at_once:
                common.emit(as_text([event], format, file=file, duration_s=0.0, head=not found)[:-1])
            found.append(event)
    except (InputError, BundleIncompatible) as error:
        common.fail(error, file, as_json=format is Format.json)
        raise typer.Exit(common.FAILED) from error
    except KeyboardInterrupt:
        until = timedelta(seconds=round(listening.heard_s))
        common.err.print(f"{name}: stopped after {until} (h:mm:ss), {len(found)} found.", markup=False)
        if in_rows and not at_once:
            _hand_over(as_text(found, format, file=file, duration_s=listening.heard_s), output)
        raise
    duration_s, broken = listening.heard_s, listening.broken
    done = at_once and bool(found)
    text = "" if done else as_text(found, format, file=file, duration_s=duration_s, broken=broken)
    # Hours of listening are not lost to a picture that fails, nor the picture to a reader that has gone.
    try:
        if figure is not None:
            with common.replacing(figure, option="--figure") as partial:
                draw_timeline(found, duration_s=duration_s, title=name, path=partial)
    finally:
        _hand_over(text, output)
    common.err.print(
        f"{name}: {len(found)} cough{'' if len(found) == 1 else 's'} in "
        f"{timedelta(seconds=round(duration_s))} (h:mm:ss), "
        f"{coughs_per_hour(found, duration_s):.1f} per hour. {NOTICE}",
        markup=False,
    )
    if broken is not None:
        common.report(broken, str(file))
        raise typer.Exit(common.FAILED)


def _hand_over(text: str, output: Path | None) -> None:
    """To ``output``, whole, or to standard output where there is none or it cannot be written."""
    try:
        if output is not None:
            with common.replacing(output, option="--output") as partial:
                partial.write_text(text, encoding="utf-8")
            text = ""
    finally:
        if text:
            common.emit(text.removesuffix("\n"))


def coughs_per_hour(found: list[CoughEvent], duration_s: float) -> float:
    """The rate over the whole recording."""
    return 3600 * len(found) / duration_s


def as_text(
    found: list[CoughEvent],
    format: Format,
    *,
    file: Path,
    duration_s: float,
    broken: InputError | None = None,
    head: bool = True,
) -> str:
    """Events as CSV, as one JSON object with a summary, or as labels that Audacity imports.

    Parameters
    ----------
    duration_s : what was heard
    broken : why nothing was heard after that
    head : whether CSV begins with the names of its columns
    """
    if format is Format.json:
        body: dict[str, Any] = {
            "file": str(file),
            "duration_s": round(duration_s, 6),
            "coughs": len(found),
            "coughs_per_hour": round(coughs_per_hour(found, duration_s), 3),
            "events": [event.model_dump() for event in found],
            "notice": NOTICE_CODE,
            "notice_text": NOTICE,
        }
        if broken is not None:
            body["error"] = {"code": broken.code, "message": str(broken)}
        return json.dumps(body) + "\n"
    if format is Format.audacity:
        return "".join(f"{e.start_s:.6f}\t{e.end_s:.6f}\tcough {e.score:.2f}\n" for e in found)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if head:
        writer.writerow(("start_s", "end_s", "score"))
    writer.writerows((e.start_s, e.end_s, round(e.score, 6)) for e in found)
    return text.getvalue()


class _Listening:
    """A recording piece by piece, with a bar on the terminal, until it ends or breaks off.

    A night whose last minutes are missing still has its other hours.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.heard_s = 0.0
        self.broken: InputError | None = None
        """Why there was no more."""

    def pieces(self) -> Iterator[Float32]:
        """Each (n,) float32 mono 16 kHz.

        Raises
        ------
        InputError : before any sound
        """
        n_samples = 0
        try:
            stream = AudioStream(self._file)
            for piece in _shown(stream):
                n_samples += len(piece)
                yield piece
                self.heard_s = n_samples / SAMPLE_RATE_HZ
            self.heard_s = stream.info.duration_s
        except InputError as error:
            self.broken, self.heard_s = error, n_samples / SAMPLE_RATE_HZ
            if not n_samples:
                raise


def _shown(stream: AudioStream) -> Iterator[Float32]:
    """With a bar: minutes of sound go by in a blink, hours do not."""
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
