"""The ``cough`` command: one file per subcommand, all thin.

Exit codes: 0 everything could be read, 1 some file failed, 2 bad usage or a bundle that cannot be used.
Results go to standard output, errors and progress to standard error.
"""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer

from cough import __version__
from cough.cli import batch, common, data, demo, embed, evaluate, events, info, keys, models, screen, serve

app = typer.Typer(
    name="cough",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("screen")(screen.screen)
app.command("batch")(batch.batch)
app.command("embed")(embed.embed)
app.command("evaluate")(evaluate.evaluate)
app.command("events")(events.events)
app.command("info")(info.info)
app.command("models")(models.models)
app.command("demo")(demo.demo)
app.command("serve")(serve.serve)
app.add_typer(data.app, name="data")
app.add_typer(keys.app, name="keys")


def _version(wanted: bool) -> None:
    if wanted:
        common.emit(f"cough {__version__}")
        raise typer.Exit


@app.callback()
def cough(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Audio cough screening. Research software, never a diagnosis."""


def main() -> None:
    """Entry point of the ``cough`` command."""
    if sys.stdout is None or sys.stderr is None:  # closed by the caller: nowhere to answer
        sys.exit(common.FAILED)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app()
