"""How many requests a caller may make: a moving window for each key, or address without one."""

from __future__ import annotations

import ipaddress
import math
import time
from collections.abc import Callable

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter

from serving.backup import Backup, connect
from serving.problems import Refused


class Rates:
    """Counts requests; ``off`` counts nothing."""

    def __init__(
        self, rate: str, *, redis_url: str | None = None, on_failure: Callable[[], None] = lambda: None
    ) -> None:
        self._item: RateLimitItem | None = None if rate == "off" else parse(rate)
        self._redis = None if redis_url is None else connect(redis_url)
        shared = None
        if self._redis is not None:
            storage = RedisStorage(
                f"async+{redis_url}",
                implementation="redispy",
                key_prefix="cough:rate",
                connection_pool=self._redis.connection_pool,  # type: ignore[arg-type]
            )
            shared = MovingWindowRateLimiter(storage)
        self._memory = MemoryStorage()
        self._latest_s = time.time()
        local = MovingWindowRateLimiter(self._memory)
        self._limiters = Backup(shared=shared, local=local, on_failure=on_failure)

    async def close(self) -> None:
        """Give connections back."""
        if self._redis is not None:
            await self._redis.aclose()

    async def admit(self, who: str) -> None:
        """Count one request.

        Raises
        ------
        Refused : ``rate_limited``, with Retry-After
        """
        if self._item is not None:
            item = self._item
            await self._forget_the_future()
            wait_s = await self._limiters.call(lambda limiter: _hit(limiter, item, who))
            if wait_s:
                raise Refused("rate_limited", headers={"Retry-After": str(wait_s)})

    async def _forget_the_future(self) -> None:
        """``limits`` counts by the wall clock: set back, it would hold a caller until it has caught up.

        Redis lets a window expire by itself.
        """
        now_s = time.time()
        if now_s < self._latest_s - 1.0:
            await self._memory.reset()
        self._latest_s = now_s


async def _hit(limiter: MovingWindowRateLimiter, item: RateLimitItem, who: str) -> int:
    """0 when admitted, else seconds to wait."""
    if await limiter.hit(item, who):
        return 0
    window = await limiter.get_window_stats(item, who)
    return min(max(1, math.ceil(window.reset_time - time.time())), item.get_expiry())


def network_of(address: str | None) -> str:
    """The address, or its /64: one IPv6 household has more addresses than could be counted."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return "unknown"
    if parsed.version == 4:
        return str(parsed)
    mapped = parsed.ipv4_mapped
    return str(mapped or ipaddress.ip_network((parsed, 64), strict=False))
