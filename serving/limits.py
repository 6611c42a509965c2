"""A cap on request bodies, enforced while bytes arrive; FastAPI has none."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.problems import problem


class _BodyTooLarge(Exception):
    pass


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
        if self._stated_bytes(scope) > self.max_bytes:
            await self._refuse(scope, receive, send)
            return
        received = 0
        responding = False

        async def counted_receive() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.max_bytes:
                raise _BodyTooLarge
            return message

        async def noted_send(message: Message) -> None:
            nonlocal responding
            responding = True
            await send(message)

        try:
            await self.app(scope, counted_receive, noted_send)
        except _BodyTooLarge:
            if not responding:
                await self._refuse(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = problem(
            413, code="too_large", detail=f"The request is larger than {self.max_bytes:,} bytes."
        )
        response.headers["Connection"] = "close"
        await response(scope, receive, send)

    def _stated_bytes(self, scope: Scope) -> int:
        for name, value in scope["headers"]:
            if name == b"content-length":
                return int(value) if value.isdigit() else 0
        return 0
