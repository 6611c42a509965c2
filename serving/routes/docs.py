"""``/docs``: Swagger UI over ``/openapi.json``, from this service alone.

FastAPI's own page loads its program from a CDN and starts it by a script in the page: neither the network
nor the policy of this service allows that. The program's files come with ``fastapi-offline``.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, HTMLResponse, Response

ASSETS = ("swagger-ui.css", "swagger-ui-bundle.js")
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Cough screening: API</title>
<link rel="icon" href="/favicon.svg">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<main id="swagger-ui"></main>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
_START = """SwaggerUIBundle({ url: "/openapi.json", dom_id: "#swagger-ui", deepLinking: true });
"""


def docs_router() -> APIRouter:
    """The page, its two files and the line that starts it."""
    router = APIRouter(include_in_schema=False)
    spec = find_spec("fastapi_offline")
    if spec is None or spec.origin is None:
        raise RuntimeError("fastapi-offline is not installed: pip install 'cough-screening[serve]'")
    folder = Path(spec.origin).parent / "static"

    @router.get("/docs")
    async def page() -> HTMLResponse:
        return HTMLResponse(_PAGE)

    @router.get("/docs/start.js")
    async def start() -> Response:
        return Response(_START, media_type="text/javascript")

    @router.get("/docs/swagger-ui.css")
    async def style() -> FileResponse:
        return FileResponse(folder / ASSETS[0])

    @router.get("/docs/swagger-ui-bundle.js")
    async def program() -> FileResponse:
        return FileResponse(folder / ASSETS[1])

    return router
