"""``cough serve``"""

from __future__ import annotations

from typing import Annotated

import typer
from pydantic import ValidationError

from cough.cli import common
from cough.errors import MissingExtra


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 picks a free one.")] = 8000,
    bundle: common.BundleOption = None,
) -> None:
    """Serve POST /v1/screenings over HTTP; documentation at /docs."""
    with common.usage_errors():
        try:
            from serving.run import run
        except ImportError as error:
            raise MissingExtra("Serving needs the extra: pip install 'cough-screening[serve]'.") from error
        try:
            run(host=host, port=port, bundle=bundle)
        except ValidationError as error:
            first = error.errors()[0]
            name = f"COUGH_{'_'.join(str(part) for part in first['loc']).upper()}"
            raise typer.BadParameter(f"{name}: {first['msg']}") from error
