"""``POST /v1/gate``"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from cough.wire import GateAnswer
from serving.facts import facts_of
from serving.problems import documented
from serving.routes.screenings import MEASURING_PROBLEMS, answered, only
from serving.service import Service
from serving.uploads import GATE_BODY, read_recording

router = APIRouter(prefix="/v1", tags=["screening"])


@router.post(
    "/gate",
    responses=documented(*MEASURING_PROBLEMS),
    response_model=GateAnswer,
    openapi_extra={"requestBody": GATE_BODY},
)
async def gate_recording(
    request: Request,
    service: Annotated[Service, Depends(Service.of)],
    recording: Annotated[bytes, Depends(read_recording)],
) -> Response:
    """Ask the gate alone whether a recording is usable, for a prompt to record again at once.

    The encoder never runs and no condition is looked at.
    """
    facts = facts_of(request.scope)
    (frame,) = await service.measure("gate", [recording], facts)
    return answered(only(frame), facts)
