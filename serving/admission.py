"""Uploads are turned away before a byte of them is read, where no worker could take them soon.

The outermost thing that knows of the workers: whom it turns away has cost little, so that those who
were admitted do not notice the crowd. It comes before keys and rates: a caller who is told to come
back here has not used up one of their requests; one whose recording arrives and finds the room taken has.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Collection

from starlette.types import ASGIApp, Receive, Scope, Send

from serving.facts import facts_of
from serving.pool import Pool
from serving.problems import Refused, response
from serving.room import Busy

_PAUSE_S = (0.5, 1.5)
"""Drawn anew for each: a crowd that was refused at once must not come back at once."""


class Admission:
    """Pure ASGI wrapper: 503 for a POST to ``paths`` while the pool has no room."""

    def __init__(self, app: ASGIApp, *, pool: Pool, paths: Collection[str]) -> None:
        self.app = app
        self.pool = pool
        self.paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"] in self.paths:
            try:
                self.pool.check_room()
            except Busy as error:
                facts_of(scope).route = scope["path"]
                await response(scope, await overloaded(error))(scope, receive, send)
                return
        await self.app(scope, receive, send)


async def overloaded(error: Busy) -> Refused:
    """The refusal, after a pause: refusing those who ask again at once would take the time of others."""
    await asyncio.sleep(random.uniform(*_PAUSE_S))
    return Refused("overloaded", headers={"Retry-After": str(error.retry_after_s)})
