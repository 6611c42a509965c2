"""``cough serve``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from cough.cli import common
from cough.errors import MissingExtra


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on. Default: 127.0.0.1.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; 0 picks a free one. Default: 8000.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that decode and screen. Default: 2.")
    ] = None,
    keys: Annotated[Path | None, typer.Option(help="File of API keys; see: cough keys new.")] = None,
    allow_no_keys: Annotated[
        bool, typer.Option("--allow-no-keys", help="Answer anybody, on any address, without a key.")
    ] = False,
    bundle: common.BundleOption = None,
    show_config: Annotated[
        bool, typer.Option("--show-config", help="Print the settings that would hold, as TOML, and leave.")
    ] = False,
) -> None:
    """Serve the recorder page and POST /v1/screenings over HTTP; documentation at /docs.

    Every setting is also read from COUGH_... variables, .env and cough-serve.toml.
    """
    given = {"host": host, "port": port, "workers": workers, "keys": keys, "bundle": bundle}
    chosen: dict[str, object] = {name: value for name, value in given.items() if value is not None}
    if allow_no_keys:
        chosen["allow_no_keys"] = True
    with common.usage_errors():
        try:
            from serving.keys import KeysUnusable
            from serving.run import run
            from serving.settings import Settings, show
        except ImportError as error:
            raise MissingExtra("Serving needs the extra: pip install 'cough-screening[serve]'.") from error
        try:
            settings = Settings(**chosen)  # type: ignore[arg-type]
            if show_config:
                common.emit(show(settings))
            else:
                run(settings)
        except ValidationError as error:
            first = error.errors()[0]
            name = f"COUGH_{'_'.join(str(part) for part in first['loc']).upper()}"
            raise typer.BadParameter(f"{name}: {first['msg']}") from error
        except (KeysUnusable, ValueError) as error:
            raise typer.BadParameter(str(error)) from error
