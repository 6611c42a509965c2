"""Start the service in this process."""

from __future__ import annotations

from pathlib import Path

import uvicorn

from serving.app import create_app
from serving.settings import Settings


def run(*, host: str, port: int, bundle: Path | None = None) -> None:
    """Serve until interrupted. Uploads are read here and nowhere written."""
    settings = Settings() if bundle is None else Settings(bundle=bundle)
    uvicorn.run(create_app(settings), host=host, port=port)
