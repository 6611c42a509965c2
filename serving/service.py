"""What every route shares: one object with the parts of a running service, and how a job ends."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import Any

from fastapi import Request

from cough.bundle import BundleSpec
from cough.screener import Model
from serving.facts import Facts
from serving.frames import Frame
from serving.idempotency import Idempotency
from serving.keys import Keys
from serving.metrics import Metrics
from serving.pool import Busy, Pool, WorkerFailed, WorkerLost
from serving.problems import Refused
from serving.rates import Rates
from serving.settings import Settings

_SHED_PAUSE_S = (0.5, 1.5)
"""Drawn anew for each: a crowd that was refused at once must not come back at once."""


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
    def of(cls, request: Request) -> Service:
        """The service that answers a request; a FastAPI dependency."""
        service = request.app.state.service
        if not isinstance(service, cls):
            raise TypeError("the application was not built by create_app")
        return service

    async def check_room(self) -> None:
        """Raise ``overloaded`` where a recording would be turned away."""
        try:
            self.pool.check_room()
        except Busy as error:
            raise await _overloaded(error) from error

    async def measure(
        self,
        task: str,
        recording: bytes,
        facts: Facts,
        asked: dict[str, Any] | None = None,
        *,
        admitted: bool = False,
    ) -> Frame:
        """Have a worker do ``task``; the frame is ``measured`` or, with a code, ``refused``.

        Raises
        ------
        Refused : ``overloaded``, ``internal``
        """
        try:
            frame = await self.pool.run(task, recording, asked, admitted=admitted)
        except Busy as error:
            raise await _overloaded(error) from error
        except WorkerFailed as error:
            raise Refused("internal") from error
        except WorkerLost as error:
            frame = _refused("decoder_timeout" if error.loss == "hung" else "decoder_failed")
        if frame.head["kind"] == "exhausted":
            frame = _refused("decoder_failed")
        facts.recordings += 1
        if frame.head["kind"] == "measured":
            facts.outcomes.append(frame.head["outcome"])
            facts.timings_ms.append(frame.head["timings_ms"])
        else:
            facts.outcomes.append(frame.head["code"])
        return frame

    async def measure_all(
        self, task: str, recordings: list[bytes], facts: Facts, asked: dict[str, Any] | None = None
    ) -> list[Frame]:
        """Measure all, side by side, before the deadline.

        Raises
        ------
        Refused : as ``measure``, and ``deadline_exceeded``
        """
        try:
            # All or none: the later ones of a request must not be refused because the first ones wait.
            self.pool.check_room(len(recordings))
        except Busy as error:
            raise await _overloaded(error) from error
        jobs = [
            asyncio.create_task(self.measure(task, data, facts, asked, admitted=True)) for data in recordings
        ]
        try:
            async with asyncio.timeout(self.settings.deadline_s):
                return list(await asyncio.gather(*jobs))
        except TimeoutError as error:
            raise Refused("deadline_exceeded", headers={"Retry-After": "5"}) from error
        finally:
            for job in jobs:
                job.cancel()


def _refused(code: str) -> Frame:
    return Frame({"kind": "refused", "code": code, "detail": Refused(code).detail})


async def _overloaded(error: Busy) -> Refused:
    """The refusal, after a pause: refusing those who ask again at once would take the time of others."""
    await asyncio.sleep(random.uniform(*_SHED_PAUSE_S))
    return Refused("overloaded", headers={"Retry-After": str(error.retry_after_s)})
