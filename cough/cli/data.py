"""``cough data validate MANIFEST``: what is wrong with a manifest."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress
from rich.table import Table

from cough.bundle import load_bundle
from cough.cli import common

if TYPE_CHECKING:
    from cough.validation import Problem

SHOWN = 20

app = typer.Typer(help="Public corpora and manifests.", no_args_is_help=True, add_completion=False)

Source = Annotated[Path, typer.Argument(metavar="MANIFEST", help="recordings.csv or its folder.")]
Fix = Annotated[
    Path | None, typer.Option("--fix", help="Write a mended copy beside the manifest; never over a file.")
]
NoAudio = Annotated[bool, typer.Option("--no-audio", help="Check cells and splits only; open no recording.")]


@app.command("validate")
def validate(
    source: Source,
    fix: Fix = None,
    no_audio: NoAudio = False,
    json_output: common.JsonOption = False,
    bundle: common.BundleOption = None,
) -> None:
    """Find missing files, wrong durations, copies, leaks between splits, unknown codes; exit 1 if any."""
    from cough.manifest import Manifest
    from cough.validation import validate as find
    from cough.validation import write_fixed

    with common.usage_errors():
        manifest = Manifest.open(source)
        model = None if no_audio else load_bundle(bundle)
        with Progress(
            console=common.err, transient=True, redirect_stdout=False, redirect_stderr=False
        ) as bar:
            task = bar.add_task("validating", total=len(manifest))
            problems = find(manifest, bundle=model, progress=lambda: bar.advance(task))
        if fix is not None:
            mended, dropped = write_fixed(manifest, problems, fix)
            common.err.print(f"{fix}: {mended} lines mended, {dropped} left out", markup=False)
    if json_output:
        for problem in problems:
            common.emit(json.dumps(asdict(problem)))
    elif problems:
        _show(problems)
    else:
        common.emit("no problem found")
    if problems:
        raise typer.Exit(common.FAILED)


def _show(problems: list[Problem]) -> None:
    table = Table("line", "recording", "problem", "what")
    for problem in problems[:SHOWN]:
        table.add_row(
            str(problem.line), problem.recording_id, problem.code, common.printable(problem.message)
        )
    common.out.print(table)
    if len(problems) > SHOWN:
        common.emit(f"and {len(problems) - SHOWN} more (--json lists all)")
    for code, count in Counter(problem.code for problem in problems).most_common():
        common.emit(f"{count:6d}  {code}")
