"""What every route shares: one object with the parts of a running service, and how a job ends."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from fastapi import Request

from cough.bundle import BundleSpec
from cough.screener import Model
from serving.admission import overloaded
from serving.facts import Facts
from serving.frames import Frame
from serving.idempotency import Idempotency
from serving.keys import Keys
from serving.metrics import Metrics
from serving.pool import Pool, WorkerFailed, WorkerLost
from serving.problems import Refused
from serving.rates import Rates
from serving.room import Busy
from serving.settings import Settings


@dataclass(frozen=True, kw_only=True, eq=False)
class Service:
    """The parts of a running service."""

    settings: Settings
    spec: BundleSpec
    model: Model
    pool: Pool
    keys: Keys | None
    rates: Rates
    idempotency: Idempotency
    metrics: Metrics

    @classmethod
    async def of(cls, request: Request) -> Service:
        """The service that answers a request; a FastAPI dependency (one that is not async costs a thread)."""
        service = request.app.state.service
        if not isinstance(service, cls):
            raise TypeError("the application was not built by create_app")
        return service

    async def measure(
        self, task: str, recordings: list[bytes], facts: Facts, asked: dict[str, Any] | None = None
    ) -> list[Frame]:
        """Have workers do ``task`` with all, before the deadline.

        Each frame is ``measured`` or, with a code, ``refused``.

        Raises
        ------
        Refused : ``overloaded``, ``internal``, ``deadline_exceeded``
        """
        try:
            answers = self.pool.submit(task, recordings, asked)
            async with asyncio.timeout(self.settings.deadline_s):
                ended = await asyncio.gather(*answers, return_exceptions=True)
            return [_frame(one, facts) for one in ended]
        except Busy as error:
            raise await overloaded(error) from error
        except WorkerFailed as error:
            raise Refused("internal") from error
        except TimeoutError as error:
            raise Refused("deadline_exceeded", headers={"Retry-After": "5"}) from error


def _frame(ended: Frame | BaseException, facts: Facts) -> Frame:
    """How a job ended, as a frame where it ended by the recording's doing; otherwise raises."""
    if isinstance(ended, WorkerLost):
        ended = _refused("decoder_timeout" if ended.loss == "hung" else "decoder_failed")
    elif isinstance(ended, BaseException):
        raise ended
    elif ended.head["kind"] == "exhausted":
        ended = _refused("decoder_failed")
    facts.recordings += 1
    if ended.head["kind"] == "measured":
        facts.outcomes.append(ended.head["outcome"])
        facts.timings_ms.append(ended.head["timings_ms"])
    else:
        facts.outcomes.append(ended.head["code"])
    return ended


def _refused(code: str) -> Frame:
    return Frame({"kind": "refused", "code": code, "detail": Refused(code).detail})
