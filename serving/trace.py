"""The outermost layer: an id for every request, one log line, the metrics, the security headers.

It is also the last resort: what nothing else has caught becomes a problem here, with all headers,
and goes to the log without its message.
"""

from __future__ import annotations

import logging
import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.facts import Facts, attach
from serving.metrics import Metrics
from serving.problems import Refused, response

log = logging.getLogger("cough.serving")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_GONE = 499
"""Logged where the client left before there was an answer."""

CSP = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self' blob:; connect-src 'self'; object-src 'none'; base-uri 'none'; "
    "frame-ancestors 'none'; form-action 'self'"
)
_DOCS_CSP = CSP.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
"""Swagger UI writes ``style`` attributes; only ``/docs`` may."""

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Trace:
    """Pure ASGI wrapper."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        facts = Facts(given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex)
        attach(scope, facts)
        began = time.perf_counter()
        status = 0

        async def dressed_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _dress(MutableHeaders(scope=message), scope["path"], facts.request_id)
            await send(message)

        try:
            await self.app(scope, receive, dressed_send)
        except ClientDisconnect:
            status, facts.code = _GONE, "client_gone"
        except Exception as error:
            if not isinstance(error, Refused):
                log.exception("unforeseen", extra={"fields": {"id": facts.request_id}})
                error = Refused("internal")
            if not status:
                await response(scope, error)(scope, receive, dressed_send)
        finally:
            seconds = time.perf_counter() - began
            facts.route = getattr(scope.get("route"), "path", facts.route)
            self.metrics.answered(facts, status=status or _GONE, seconds=seconds)
            log.info("request", extra={"fields": _line(facts, scope, status or _GONE, seconds)})


def _dress(headers: MutableHeaders, path: str, request_id: str) -> None:
    headers["X-Request-ID"] = request_id
    headers["Content-Security-Policy"] = _DOCS_CSP if path == "/docs" else CSP
    for name, value in _HEADERS.items():
        headers[name] = value
    if path.startswith("/v1/"):
        headers.setdefault("Cache-Control", "no-store")


def _line(facts: Facts, scope: Scope, status: int, seconds: float) -> dict[str, object]:
    return {
        "id": facts.request_id,
        "key": facts.key,
        "method": scope["method"],
        "route": facts.route,
        "status": status,
        "code": facts.code,
        "bytes": facts.bytes_in,
        "seconds": round(seconds, 4),
        "recordings": facts.recordings,
        "outcomes": facts.outcomes,
        "timings_ms": facts.timings_ms,
        "replayed": facts.replayed,
    }
