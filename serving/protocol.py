"""uvicorn's HTTP/1.1 connection, with a limit on how long headers may take, and its 400 as a problem."""

from __future__ import annotations

import asyncio
import logging
import uuid

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from cough.wire import Problem
from serving.facts import facts_of
from serving.problems import CATALOGUE, MEDIA_TYPE

log = logging.getLogger("cough.serving")

_CODE = "malformed_http"


def timed_protocol(header_s: float) -> type[H11Protocol]:
    """The connection class for ``uvicorn.Config(http=...)``.

    uvicorn waits for ever for a request that has begun; a few thousand peers that each send a byte a
    minute would hold every file descriptor.
    """

    class TimedProtocol(H11Protocol):
        _late: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._late = self.loop.call_later(header_s, self._give_up)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.cycle is not None and not self.cycle.response_complete:
                self._on_time()
            elif self._late is None:
                self._late = self.loop.call_later(header_s, self._give_up)

        def connection_lost(self, exc: Exception | None) -> None:
            self._on_time()
            super().connection_lost(exc)

        def _on_time(self) -> None:
            if self._late is not None:
                self._late.cancel()
                self._late = None

        def _give_up(self) -> None:
            self._late = None
            if self.cycle is None or self.cycle.response_complete:
                self.transport.close()

        def send_400_response(self, msg: str) -> None:
            # A request that broke off in its body has a log line to come, under the id it has already.
            under_way = self.cycle is not None and not self.cycle.response_complete
            request_id = facts_of(dict(self.cycle.scope)).request_id if under_way else ""
            if not request_id:
                request_id = uuid.uuid4().hex
                log.info("request", extra={"fields": {"id": request_id, "status": 400, "code": _CODE}})
            status, detail = CATALOGUE[_CODE]
            problem = Problem(
                title="Bad Request", status=status, detail=detail, code=_CODE, request_id=request_id
            )
            body = problem.model_dump_json().encode()
            headers = [
                ("content-type", MEDIA_TYPE),
                ("content-length", str(len(body))),
                ("x-request-id", request_id),
                ("connection", "close"),
            ]
            for event in (
                h11.Response(status_code=status, headers=headers, reason="Bad Request"),
                h11.Data(data=body),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
            self.transport.close()

    return TimedProtocol
