"""``cough data``: ``validate`` a manifest; ``list``, ``info``, ``download``, ``prepare`` public corpora.

The last four are of the training package, which a wheel does not hold: it plugs them in through the
entry point group ``cough.data``. Where it is absent, they say how to get it.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from cough.bundle import load_bundle
from cough.cli import common
from cough.errors import MissingExtra

if TYPE_CHECKING:
    from cough.validation import Problem

SHOWN = 20
PLUGINS = "cough.data"
"""Entry point group: each loads a ``typer.Typer`` whose commands join ``cough data``."""
HOW_TO_GET_IT = (
    "Public corpora are a matter of the training package, which is not installed with the library: "
    "get the project's source and run pip install -e '.[corpora]' there."
)


class _Group(typer.core.TyperGroup):
    """``validate``, and the commands that other packages plug in; these are loaded when asked for."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        return [*super().list_commands(ctx), *self._plugged(ctx)]

    def get_command(self, ctx: typer.Context, name: str) -> Any:  # type: ignore[override]
        own = super().get_command(ctx, name)
        return own if own is not None else self._plugged(ctx).get(name)

    def _plugged(self, ctx: typer.Context) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for point in entry_points(group=PLUGINS):
            try:
                group = typer.main.get_group(point.load())
            except ImportError:
                continue
            found |= {name: group.get_command(ctx, name) for name in group.list_commands(ctx)}
        return found or {name: _absent(name) for name in ("list", "info", "download", "prepare")}


def _absent(name: str) -> Any:
    """A command that says where the real one is."""
    app = typer.Typer(add_completion=False)

    @app.command(name, context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
    def absent() -> None:
        common.report(MissingExtra(HOW_TO_GET_IT))
        raise typer.Exit(common.USAGE)

    absent.__doc__ = "Not installed here; run it to be told how to get it."
    return typer.main.get_command(app)


app = typer.Typer(
    cls=_Group, help="Public corpora and manifests.", no_args_is_help=True, add_completion=False
)

Source = Annotated[
    str,
    typer.Argument(
        metavar="MANIFEST",
        help="A csv, a folder with recordings.csv, or a URL of either; else a folder of audio.",
    ),
]
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
    from cough.validation import check_fix, write_fixed
    from cough.validation import validate as find

    with common.usage_errors():
        manifest = Manifest.open(source)
        if fix is not None:
            check_fix(manifest, fix)
        model = None if no_audio else load_bundle(bundle)
        with common.progress() as bar:
            task = bar.add_task("validating", total=len(manifest) * (1 if no_audio else 2))
            problems = find(manifest, bundle=model, progress=lambda: bar.advance(task))
    if json_output:
        for problem in problems:
            common.emit(json.dumps(asdict(problem)))
    elif problems:
        _show(problems)
    else:
        common.emit("no problem found")
    if fix is not None:
        with common.usage_errors():
            mended, dropped = write_fixed(manifest, problems, fix)
        common.err.print(f"{fix}: {mended} lines mended, {dropped} left out", markup=False)
        if torn := {problem.line for problem in problems if problem.code == "label_conflict"}:
            common.err.print(
                f"{len(torn)} of those left out are of sounds that have two labels: which is right, you "
                "must say",
                markup=False,
            )
    if problems:
        raise typer.Exit(common.FAILED)


def _show(problems: list[Problem]) -> None:
    table = Table("line", "recording", "problem", "what")
    for problem in problems[:SHOWN]:
        cells = (str(problem.line), problem.recording_id, problem.code, problem.message)
        # As Text, or a name like "[/x]" would be read as markup.
        table.add_row(*(Text(common.printable(cell)) for cell in cells))
    common.out.print(table)
    if len(problems) > SHOWN:
        common.emit(f"and {len(problems) - SHOWN} more (--json lists all)")
    for code, count in Counter(problem.code for problem in problems).most_common():
        common.emit(f"{count:6d}  {code}")
