"""Limits on request bodies, enforced while bytes arrive, also on their sum and their time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.facts import facts_of
from serving.problems import Refused, response

_LINGER_BYTES = 1024 * 1024
_LINGER_S = 1.0
_RETRY_AFTER_S = 2


class BodyLimit:
    """Pure ASGI wrapper: 413 for a body too large, 408 for one too slow, 503 when all are too many.

    Holds for chunked bodies and for a Content-Length that lies, and answers as soon as it is known;
    the rest is not read, but for a little: a peer that still sends when its connection is closed
    may never see the answer. What was received counts against ``max_held_bytes`` until the answer
    is out, so the sum of all bodies in memory is bounded too.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_bytes: int,
        max_held_bytes: int | None = None,
        upload_s: float | None = None,
        held: Callable[[int], None] = lambda n_bytes: None,
    ) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.max_held_bytes = max_held_bytes
        self.upload_s = upload_s
        self.held_bytes = 0
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = _Body(self, scope, receive, send)
        try:
            if _stated_bytes(scope) > self.max_bytes:
                await response(scope, self.too_large())(scope, body.receive, body.send)
            else:
                await self.app(scope, body.receive, body.send)
        finally:
            self.count(-body.received_bytes)

    def count(self, n_bytes: int) -> None:
        """More, or fewer, bytes are in memory."""
        self.held_bytes += n_bytes
        self._held(self.held_bytes)

    def too_large(self) -> Refused:
        """The refusal, with the limit in words."""
        return Refused("too_large", f"The request is larger than {self.max_bytes:,} bytes.")


class _Body:
    """One request's body on its way in."""

    def __init__(self, limit: BodyLimit, scope: Scope, receive: Receive, send: Send) -> None:
        self.received_bytes = 0
        self._limit, self._scope, self._receive, self._send = limit, scope, receive, send
        self._ended = not _has_body(scope)
        self._linger = not _expects_continue(scope)
        loop = asyncio.get_running_loop()
        self._deadline = None if limit.upload_s is None else loop.time() + limit.upload_s

    async def receive(self) -> Message:
        limit = self._limit
        if self._ended:  # what is waited for now is the end of the connection
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError as error:
            self._linger = False
            raise Refused("upload_timeout") from error
        n = len(message.get("body", b""))
        self.received_bytes += n
        limit.count(n)
        facts_of(self._scope).bytes_in = self.received_bytes
        self._ended = not message.get("more_body", False)
        if self.received_bytes > limit.max_bytes:
            raise limit.too_large()
        if limit.max_held_bytes is not None and limit.held_bytes > limit.max_held_bytes:
            raise Refused("overloaded", headers={"Retry-After": str(_RETRY_AFTER_S)})
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and not self._ended:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LINGER_S):
                    await self._read_a_little()
            if not self._ended:
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
        await self._send(message)

    async def _read_a_little(self) -> None:
        left = _LINGER_BYTES if self._linger else 0
        while left > 0 and not self._ended:
            message = await self._receive()
            left -= max(1, len(message.get("body", b"")))
            self._ended = not message.get("more_body", False)


def _header(scope: Scope, wanted: bytes) -> bytes | None:
    for name, value in scope["headers"]:
        if name == wanted:
            return bytes(value)
    return None


def _stated_bytes(scope: Scope) -> int:
    value = _header(scope, b"content-length") or b""
    return int(value) if value.isdigit() else 0


def _has_body(scope: Scope) -> bool:
    """Whether one may come; a scope without the headers that say so, as in tests, may have one."""
    if scope.get("method") in ("POST", "PUT", "PATCH") or "method" not in scope:
        return True
    return _stated_bytes(scope) > 0 or _header(scope, b"transfer-encoding") is not None


def _expects_continue(scope: Scope) -> bool:
    """A peer that waits for leave to send its body is refused without asking for it."""
    return (_header(scope, b"expect") or b"").lower() == b"100-continue"
