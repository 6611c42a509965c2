"""Errors as RFC 9457 problem+json, with the library's stable codes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from cough import errors

log = logging.getLogger("cough.serving")

MEDIA_TYPE = "application/problem+json"


class Problem(BaseModel):
    """RFC 9457 problem details. ``code`` is the one from ``cough.errors`` or of this service."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str


_STATUS: dict[type[errors.InputError], HTTPStatus] = {
    errors.TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.NotAudio: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.UnsupportedCodec: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
}

_CODES = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}
_SENTENCES = {404: "There is nothing at this address.", 405: "This address does not take that method."}


def problem(status: int, *, code: str, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """A problem+json response."""
    body = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, code=code)
    return JSONResponse(body.model_dump(), status_code=status, headers=headers, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Make every error of the application a problem."""

    @app.exception_handler(errors.InputError)
    async def unusable(request: Request, error: errors.InputError) -> JSONResponse:
        status = _STATUS.get(type(error), HTTPStatus.UNPROCESSABLE_ENTITY)
        return problem(status, code=error.code, detail=str(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        fields = sorted({".".join(str(part) for part in problem["loc"][1:]) for problem in error.errors()})
        detail = f"The request does not have the documented form: {', '.join(fields)}."
        return problem(422, code="invalid_request", detail=detail)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        code = _CODES.get(error.status_code, "invalid_request")
        detail = _SENTENCES.get(error.status_code, str(error.detail))
        return problem(error.status_code, code=code, detail=detail, headers=error.headers)

    @app.exception_handler(Exception)
    async def unforeseen(request: Request, error: Exception) -> JSONResponse:
        log.exception("unforeseen error")
        return problem(500, code="internal", detail="The service failed; the recording may be sent again.")
