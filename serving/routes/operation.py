"""For those who run the service: alive, ready, metrics."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel

from serving.problems import Refused, documented
from serving.service import Service

router = APIRouter(tags=["operation"])


class Alive(BaseModel):
    """The process answers."""

    status: str = "ok"


class Ready(BaseModel):
    """The service can take recordings."""

    status: str = "ready"
    bundle_id: str
    workers_warm: int


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz")
async def healthz() -> Alive:
    """The process is alive."""
    return Alive()


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", responses=documented("not_ready"))
async def readyz(service: Annotated[Service, Depends(Service.of)]) -> Ready:
    """The bundle was verified, by the service and by each worker that loaded it, and a worker is warm."""
    if not service.pool.ready:
        raise Refused("not_ready", headers={"Retry-After": "2"})
    return Ready(bundle_id=service.spec.bundle_id, workers_warm=service.pool.room.warm)


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(service: Annotated[Service, Depends(Service.of)]) -> Response:
    """Prometheus metrics."""
    return Response(service.metrics.text(), headers={"content-type": CONTENT_TYPE_LATEST})
