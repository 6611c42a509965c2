"""``cough keys new``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cough.cli import common

app = typer.Typer(help="API keys of the service.", no_args_is_help=True)


@app.callback()
def keys() -> None:
    """API keys of the service. To take one back, delete its line from the file."""


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="Who will use it; stands in the log.")],
    file: Annotated[Path, typer.Option("--file", help="The file of keys; it gets a line.")] = Path(
        "keys.txt"
    ),
) -> None:
    """Make a key: its hash goes to the file, the key itself to standard output, once."""
    from serving.keys import KeysUnusable, add

    try:
        key = add(file, name)
    except KeysUnusable as error:
        raise typer.BadParameter(str(error)) from error
    common.emit(key)
