"""``POST /v1/screenings``"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, File, Request, UploadFile
from fastapi.concurrency import run_in_threadpool

from cough.screener import Screener, ScreeningResult
from serving.problems import MEDIA_TYPE, Problem

router = APIRouter(prefix="/v1", tags=["screening"])

_PROBLEMS: dict[int | str, dict[str, object]] = {
    status: {"content": {MEDIA_TYPE: {"schema": Problem.model_json_schema()}}, "description": description}
    for status, description in {
        400: "The body is not the form that it says it is.",
        413: "The recording is too large.",
        415: "The file is not audio, or of an unsupported codec.",
        422: "The recording cannot be decoded, is too long, or the form is incomplete.",
    }.items()
}


@router.post("/screenings", responses=_PROBLEMS)
async def create_screening(
    request: Request,
    file: Annotated[UploadFile, File(description="The recording, in any common audio format.")],
) -> ScreeningResult:
    """Screen one recording.

    ``outcome`` is ``screened``, ``inconclusive`` or ``rerecord``; with ``rerecord``, ``reasons``
    says what to do. Never a diagnosis.
    """
    screener: Screener = request.app.state.screener
    data = await file.read()
    return await run_in_threadpool(screener.screen, data)
