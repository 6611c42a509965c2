"""Errors as RFC 9457 problem+json: a stable code, a sentence for the client, the request's id.

What went wrong inside stays in the log. The catalogue below holds every code that is not one of
``cough.errors``.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import Scope

from cough import errors
from cough.wire import Problem
from serving.facts import facts_of

MEDIA_TYPE = "application/problem+json"

CATALOGUE: dict[str, tuple[int, str]] = {
    "malformed_http": (400, "This is not HTTP/1.1, or its headers are too long."),
    "invalid_request": (422, "The request does not have the documented form."),
    "unauthorized": (401, "A valid API key is needed: Authorization: Bearer KEY."),
    "not_found": (404, "There is nothing at this address."),
    "method_not_allowed": (405, "This address does not take that method."),
    "upload_timeout": (408, "The recording took too long to arrive."),
    "idempotency_in_progress": (409, "A request with this Idempotency-Key is still being answered."),
    "too_large": (413, "The request is too large."),
    "unsupported_media_type": (415, "Send multipart/form-data, or the recording itself as audio/*."),
    "decoder_failed": (422, "The recording broke the decoder and was given up."),
    "decoder_timeout": (422, "The recording took too long to decode and was given up."),
    "idempotency_mismatch": (422, "This Idempotency-Key was used for another request."),
    "rate_limited": (429, "Too many requests; wait as long as Retry-After says."),
    "internal": (500, "The service failed; the recording may be sent again."),
    "overloaded": (503, "The service is busy; try again after Retry-After seconds."),
    "not_ready": (503, "The service is not ready."),
    "deadline_exceeded": (504, "The answer took too long; try again later."),
}
"""Status and sentence by code."""

_INPUT_STATUS: dict[type[errors.InputError], int] = {
    errors.TooLarge: 413,
    errors.NotAudio: 415,
    errors.UnsupportedCodec: 415,
}
_INPUT_ERRORS = {error.code: error for error in errors.InputError.__subclasses__()}
_CODES = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}


class Refused(HTTPException):
    """The request is answered with a problem of the catalogue, or of ``cough.errors``.

    An ``HTTPException``, because FastAPI turns others into 400 while it reads a body.
    """

    def __init__(
        self, code: str, detail: str | None = None, *, headers: Mapping[str, str] | None = None
    ) -> None:
        status, sentence = CATALOGUE.get(code) or (input_status(code), "")
        super().__init__(status, detail or sentence, headers)
        self.code = code


def input_status(code: str) -> int:
    """The HTTP status of an ``InputError`` with this code."""
    return _INPUT_STATUS.get(_INPUT_ERRORS.get(code, errors.InputError), 422)


def problem(scope: Scope, *, status: int, code: str, detail: str) -> Problem:
    """The problem, with the id of the request."""
    return Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code,
        request_id=facts_of(scope).request_id,
    )


def response(scope: Scope, error: Refused) -> JSONResponse:
    """The refusal as an HTTP response; the request's log line gets its code."""
    facts_of(scope).code = error.code
    body = problem(scope, status=error.status_code, code=error.code, detail=str(error.detail))
    return JSONResponse(
        body.model_dump(), status_code=error.status_code, headers=error.headers, media_type=MEDIA_TYPE
    )


def documented(*codes: str) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI responses for problems with these codes."""
    by_status: dict[int, list[str]] = {}
    for code in codes:
        status = CATALOGUE[code][0] if code in CATALOGUE else input_status(code)
        by_status.setdefault(status, []).append(code)
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {
            "description": f"Problem with code {', '.join(f'`{code}`' for code in found)}.",
            "content": {MEDIA_TYPE: {"schema": schema}},
        }
        for status, found in sorted(by_status.items())
    }


def install(app: FastAPI) -> None:
    """Make every foreseen error of the application a problem; ``serving.trace`` has the others."""

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        names = sorted({".".join(str(part) for part in found["loc"][1:]) for found in error.errors()})
        detail = f"The request does not have the documented form: {', '.join(names)}."
        return response(request.scope, Refused("invalid_request", detail))

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        if not isinstance(error, Refused):
            code = _CODES.get(error.status_code, "invalid_request")
            error = Refused(code, headers=error.headers)
        return response(request.scope, error)
