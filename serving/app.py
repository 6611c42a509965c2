"""The application factory: ``uvicorn --factory serving.app:create_app``."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from starlette.formparsers import MultiPartParser

import cough
from cough.audio import DecodeLimits
from cough.messages import NOTICE
from serving import problems
from serving.limits import BodyLimit
from serving.routes import screenings
from serving.settings import Settings


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build the service; the bundle is verified and loaded here, so a bad one fails at start.

    Raises
    ------
    BundleError : the bundle is missing, tampered with or does not fit
    """
    settings = settings or Settings()
    # Uploads stay in memory: the body cap is also the size from which they would go to disk.
    MultiPartParser.spool_max_size = settings.max_bytes + 1
    app = FastAPI(
        title="Cough screening",
        version=cough.__version__,
        description=f"Upload a recording, get a verdict or what to do better. {NOTICE}",
    )
    limits = DecodeLimits(max_bytes=settings.max_bytes, max_seconds=settings.max_seconds)
    app.state.screener = cough.Screener(settings.bundle, limits=limits)
    problems.install(app)
    app.include_router(screenings.router)

    @app.get("/healthz", tags=["operation"])
    async def healthz() -> JSONResponse:
        """The process is alive."""
        return JSONResponse({"status": "ok"})

    app.add_middleware(BodyLimit, max_bytes=settings.max_bytes)
    return app
