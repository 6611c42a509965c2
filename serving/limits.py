"""A cap on request bodies, enforced while bytes arrive; FastAPI has none."""

from __future__ import annotations

from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.problems import problem


class BodyLimit:
    """Pure ASGI wrapper: answers 413 as soon as a body is, or says that it will be, too large.

    Holds for chunked bodies and for a Content-Length that lies; the rest of the body is not read.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        detail = f"The request is larger than {self.max_bytes:,} bytes."
        if _stated_bytes(scope) > self.max_bytes:
            response = problem(413, code="too_large", detail=detail, headers={"connection": "close"})
            await response(scope, receive, send)
            return
        received = 0

        async def counted_receive() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.max_bytes:
                # FastAPI turns any other exception during parsing into a 400.
                raise HTTPException(
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail=detail, headers={"connection": "close"}
                )
            return message

        await self.app(scope, counted_receive, send)


def _stated_bytes(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else 0
    return 0
