"""The recorder page: the files of ``serving/web``, each at its own address, ``index.html`` at ``/``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse

WEB = Path(__file__).resolve().parents[1] / "web"


def page_router(folder: Path = WEB) -> APIRouter:
    """A route for each file that is there at the start.

    Not a mount at ``/``: that would catch every address, and answer a GET of ``/v1/screenings``
    with 404 instead of 405.
    """
    router = APIRouter(include_in_schema=False)
    for file in sorted(folder.rglob("*")):
        if file.is_file() and not file.name.startswith("."):
            name = file.relative_to(folder).as_posix()
            router.add_api_route(
                f"/{'' if name == 'index.html' else name}", _sender(file), methods=["GET", "HEAD"]
            )
    return router


def _sender(file: Path) -> Callable[[], Awaitable[FileResponse]]:
    async def send() -> FileResponse:
        return FileResponse(file, headers={"Cache-Control": "no-cache"})

    return send
