"""``cough data list``, ``info``, ``download`` and ``prepare``, plugged into the command by an entry point."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from cough.cli import common
from cough.errors import CoughError, MissingExtra
from cough.manifest import FILE
from training.corpora import dataset

app = typer.Typer(add_completion=False)

Name = Annotated[str, typer.Argument(metavar="NAME", help="As cough data list names it.")]
ACCESS = {"open": "open", "by_hand": "by hand", "agreement": "by agreement"}


@app.command("list")
def list_(json_lines: common.JsonOption = False) -> None:
    """The public corpora that can be prepared: how much there is, under which licence, how to get it."""
    with common.usage_errors():
        known = dataset.datasets().values()
    if json_lines:
        for facts in known:
            common.emit(facts.model_dump_json())
        return
    table = Table("name", "recordings", "people", "access", "licence", box=None)
    for facts in known:
        size = facts.size
        table.add_row(
            facts.name,
            _count(size.recordings),
            _count(size.subjects),
            ACCESS[facts.access],
            textwrap.shorten(facts.licence, 44, placeholder=" ..."),
        )
    common.out.print(table)
    common.emit("\n?: nobody says. cough data info NAME tells more.")


@app.command()
def info(name: Name, json_output: common.JsonOption = False) -> None:
    """What a corpus is, how its labels and subjects are known, what misled others, how to get it."""
    with common.usage_errors():
        facts = dataset.dataset(name)
    if json_output:
        common.emit(facts.model_dump_json())
        return
    common.emit(f"{facts.title}\n")
    common.emit(textwrap.fill(facts.summary, 100) + "\n")
    size = facts.size
    rows = {
        "home": facts.homepage,
        "citation": facts.citation,
        "licence": facts.licence,
        "access": ACCESS[facts.access] + (f". {facts.ask}" if facts.ask else ""),
        "size": f"{_count(size.recordings)} recordings, {_count(size.subjects)} people, "
        f"{_count(size.hours)} hours, {_bytes(size.download_bytes)} to download",
        "layout": facts.layout,
        "audio": facts.audio,
        "subjects": facts.subjects,
        "labels": facts.labels,
        "checked": facts.checked,
    }
    for title, text in rows.items():
        common.emit(textwrap.fill(text, 100, initial_indent=f"{title:9} ", subsequent_indent=" " * 10))
    if facts.evaluate:  # in one line, to be copied
        common.emit(f"evaluate  {facts.evaluate}")
    common.emit("traps")
    for trap in facts.traps:
        common.emit(textwrap.fill(trap, 100, initial_indent=" " * 8 + "- ", subsequent_indent=" " * 10))
    for file in facts.files:
        check = f"md5 {file.md5}" if file.md5 else f"no checksum: {file.no_checksum}"
        common.emit(
            f"file      {file.name} (part {file.part}, {_bytes(file.bytes)}, {check})\n{'':10}{file.url}"
        )


@app.command()
def download(
    name: Name,
    folder: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder to fill. Default: corpora/NAME.")
    ] = None,
    part: Annotated[
        list[str] | None, typer.Option("--part", help="Only this part (repeat it for more); info lists them.")
    ] = None,
) -> None:
    """Fetch, verify and unpack an open corpus; goes on where it broke off."""
    from training.corpora.download import download as fetch

    with common.usage_errors():
        facts = dataset.dataset(name)
        chosen = tuple(part or ())
        if facts.access == "open":
            facts.choose(chosen)
    target = folder or Path("corpora") / facts.name
    with _failures(), Transfers() as shown:
        files = fetch(facts, target, parts=chosen, progress=shown)
        for file in files:
            common.emit(f"{target / 'archives' / file.name}  md5 {file.md5}  ({file.verified})")
    common.err.print(
        f"Next: cough data prepare {facts.name} {target}. Licence: {facts.licence}. archives/ may go.",
        markup=False,
    )


@app.command()
def prepare(
    name: Name,
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="The corpus as it was got; nothing is written there.")
    ],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder to fill. Default: prepared/NAME.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that decode. Default: all cores.")
    ] = None,
) -> None:
    """Bring a corpus into the form that cough batch, cough evaluate and make train read."""
    from training.corpora.form import prepare as make

    with common.usage_errors():
        facts = dataset.dataset(name)
    target = output or Path("prepared") / facts.name
    bar = Progress(console=common.err, transient=True, disable=not common.err.is_terminal)
    task = bar.add_task(f"decoding {facts.name}", total=None)
    with _failures(), bar:
        made = make(
            facts.name, folder, target, workers=workers,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )  # fmt: skip
    common.emit(f"{target / FILE}: {made.recordings} recordings")
    for event, count in made.events.items():
        common.emit(f"{count:8} {event}")
    if made.problems:
        common.err.print(
            f"{made.problems} recordings could not be read; {target / 'problems.csv'} says why.", markup=False
        )
    for trap in facts.traps:
        common.err.print(f"- {trap}", markup=False)


class Transfers(AbstractContextManager["Transfers"]):
    """A bar a file on a terminal; nothing elsewhere."""

    def __init__(self) -> None:
        self._bars = Progress(
            TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(),
            TimeRemainingColumn(), console=common.err, disable=not common.err.is_terminal,
        )  # fmt: skip
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Transfers:
        self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.stop()

    def __call__(self, name: str, done: int, total: int | None) -> None:
        """So much of a file is there."""
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=total)
        self._bars.update(self._tasks[name], completed=done, total=total)


@contextmanager
def _failures() -> Iterator[None]:
    """What goes wrong on the way: a line and exit code 1; 2 where an extra is missing."""
    try:
        yield
    except CoughError as error:
        common.report(error)
        raise typer.Exit(common.USAGE if isinstance(error, MissingExtra) else common.FAILED) from error
    except OSError as error:
        name = common.printable(str(error.filename or "a file"))
        common.err.print(f"error: {name}: {error.strerror or error}", markup=False, style="red")
        raise typer.Exit(common.FAILED) from error


def _count(number: float | None) -> str:
    return "?" if number is None else f"{number:,}"


def _bytes(number: int | None) -> str:
    return "? bytes" if number is None else f"{number / 1e6:,.1f} MB"
