"""The application factory: everything is built from ``Settings`` here, and nowhere else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

import cough
from cough.bundle import DEFAULT_BUNDLE, load_bundle
from cough.messages import NOTICE
from cough.screener import Model
from cough.wire import Metadata, Problem
from serving import problems
from serving.admission import Admission
from serving.idempotency import Idempotency
from serving.keys import Keys
from serving.limits import BodyLimit
from serving.metrics import Metrics
from serving.pool import Pool, PoolConfig
from serving.rates import Rates
from serving.room import Room
from serving.routes import docs, gate, models, operation, page, screenings
from serving.service import Service
from serving.settings import Settings
from serving.trace import Trace
from serving.uploads import UNUSED_HEADER
from serving.worker import WorkerConfig

UPLOADS = frozenset({"/v1/screenings", "/v1/gate"})
"""Addresses that keep a worker busy."""


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build the service. The bundle is verified here, and again by each worker that loads it.

    Raises
    ------
    BundleError : the bundle is missing, tampered with or does not fit
    KeysUnusable : the keys file cannot be used
    """
    settings = settings or Settings()
    service = _build(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await service.pool.start()
        try:
            yield
        finally:
            await service.pool.close()
            await service.rates.close()
            await service.idempotency.close()

    app = FastAPI(
        title="Cough screening",
        version=cough.__version__,
        description=f"Upload a recording, get a verdict or what to do better. {NOTICE}",
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
    )
    app.state.service = service
    problems.install(app)
    for router in (
        screenings.router,
        gate.router,
        models.router,
        operation.router,
        docs.docs_router(),
        page.page_router(),
    ):
        app.include_router(router)
    _describe(app)
    # The last added is the outermost.
    app.add_middleware(Admission, pool=service.pool, paths=UPLOADS)
    app.add_middleware(
        BodyLimit,
        max_bytes=settings.max_bytes,
        max_held_bytes=settings.max_held_bytes,
        upload_s=settings.upload_s,
        held=service.metrics.held,
    )
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "X-Request-ID"],
            expose_headers=["X-Request-ID", "Retry-After", UNUSED_HEADER, "Idempotency-Replayed"],
        )
    app.add_middleware(Trace, metrics=service.metrics)
    return app


def _build(settings: Settings) -> Service:
    bundle = load_bundle(settings.bundle)
    metrics = Metrics()
    redis_url = settings.redis_url.get_secret_value() if settings.redis_url else None
    pool = Pool(
        PoolConfig(
            size=settings.workers,
            job_s=settings.job_s,
            start_s=settings.start_s,
        ),
        WorkerConfig(
            bundle=(settings.bundle or DEFAULT_BUNDLE).resolve(),
            max_bytes=settings.max_bytes,
            max_seconds=settings.max_seconds,
            job_s=settings.job_s,
            memory_bytes=settings.worker_memory_bytes,
        ),
        room=Room(
            max_waiting=settings.max_waiting,
            max_wait_s=settings.max_wait_s,
            max_wait_jobs=settings.max_wait_jobs,
        ),
        bundle_sha256=bundle.sha256,
        on_loss=metrics.lost,
    )
    metrics.watch(pool.room)
    return Service(
        settings=settings,
        spec=bundle.spec,
        model=Model.of(bundle),
        pool=pool,
        keys=Keys(settings.keys) if settings.keys else None,
        rates=Rates(settings.rate, redis_url=redis_url, on_failure=metrics.redis_failed),
        idempotency=Idempotency(
            kept_s=settings.idempotency_s,
            claim_s=settings.deadline_s + 5,
            max_entries=settings.idempotency_entries,
            redis_url=redis_url,
            on_failure=metrics.redis_failed,
        ),
        metrics=metrics,
    )


def _describe(app: FastAPI) -> None:
    """Models that the OpenAPI document refers to from where FastAPI does not look."""
    make = app.openapi

    def openapi() -> dict[str, object]:
        document = make()
        schemas = document["components"]["schemas"]
        for model in (Metadata, Problem):
            schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update(schema.pop("$defs", {}))
            schemas[model.__name__] = schema
        schemas.pop("HTTPValidationError", None)
        schemas.pop("ValidationError", None)
        return document

    app.openapi = openapi  # type: ignore[method-assign]
