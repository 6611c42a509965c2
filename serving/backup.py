"""What is shared through Redis goes on in memory while Redis is gone.

A service that refused everything because a cache is down would be worse than one whose limits count
per process for a while. After a failure Redis is left alone for a few seconds, so that requests do
not each wait for it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

log = logging.getLogger("cough.serving")

S = TypeVar("S")
T = TypeVar("T")

PAUSE_S = 5.0
SOCKET_S = 0.5
"""How long a request may wait for Redis, once a pause."""


def connect(url: str) -> Redis:
    """A client that fails soon, and once: what a request waits for here, it waits for in vain."""
    return Redis.from_url(
        url,
        socket_timeout=SOCKET_S,
        socket_connect_timeout=SOCKET_S,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
    )


class Backup(Generic[S]):
    """A shared store and a local one of the same kind."""

    def __init__(self, *, shared: S | None, local: S, on_failure: Callable[[], None] = lambda: None) -> None:
        self._shared = shared
        self._local = local
        self._on_failure = on_failure
        self._again_at = 0.0

    async def call(self, work: Callable[[S], Awaitable[T]]) -> T:
        """Do the work on the shared store, or on the local one where that fails or is not there."""
        if self._shared is not None and time.monotonic() >= self._again_at:
            try:
                return await work(self._shared)
            except (RedisError, OSError, TimeoutError) as error:
                self._again_at = time.monotonic() + PAUSE_S
                self._on_failure()
                log.warning("redis is gone (%s); memory takes over", type(error).__name__)
        return await work(self._local)
