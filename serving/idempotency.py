"""One answer for one ``Idempotency-Key``: a retry after a lost answer gets that answer.

Follows draft-ietf-httpapi-idempotency-key-header. What is kept is the answer and a hash of the
request, never the recording; it is kept under a hash of the caller and their key, for a stated time.
Only answers are kept: a request that ended in a problem frees its key, for the same request will
end the same way or, after 429, 503 and 504, should be tried anew.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Protocol

from serving.backup import Backup, connect
from serving.problems import Refused

_SWEEP_S = 1.0
"""The least time between two looks for answers whose time has passed."""


@dataclass(frozen=True)
class Entry:
    """A request under way (``answer`` None), or answered."""

    fingerprint: str
    """Hash of what was asked."""
    answer: str | None = None


class _Store(Protocol):
    async def claim(self, key: str, entry: Entry, *, seconds: float) -> Entry | None:
        """Write the entry unless there is one; give the one that was there."""

    async def keep(self, key: str, entry: Entry, *, seconds: float) -> None:
        """Write the entry, whatever was there."""

    async def release(self, key: str) -> None:
        """Remove the entry."""


class Idempotency:
    """Remembers answers in memory, or in Redis with memory as its backup."""

    def __init__(
        self,
        *,
        kept_s: float,
        claim_s: float,
        max_entries: int,
        redis_url: str | None = None,
        on_failure: Callable[[], None] = lambda: None,
    ) -> None:
        self._kept_s = kept_s
        self._claim_s = claim_s
        self._shared = None if redis_url is None else _InRedis(redis_url)
        self._stores: Backup[_Store] = Backup(
            shared=self._shared, local=_InMemory(max_entries), on_failure=on_failure
        )

    async def close(self) -> None:
        """Give connections back."""
        if self._shared is not None:
            await self._shared.close()

    async def once(
        self, caller: str, key: str | None, fingerprint: str, work: Callable[[], Awaitable[str]]
    ) -> tuple[str, bool]:
        """The answer, and whether it was kept from before; ``work`` makes it otherwise.

        Raises
        ------
        Refused : ``idempotency_in_progress`` or ``idempotency_mismatch``, or what ``work`` raises
        """
        if key is None:
            return await work(), False
        name = hashlib.sha256(f"{caller}\n{key}".encode()).hexdigest()
        ours = Entry(fingerprint)
        there = await self._stores.call(lambda store: store.claim(name, ours, seconds=self._claim_s))
        if there is not None:
            if there.fingerprint != fingerprint:
                raise Refused("idempotency_mismatch")
            if there.answer is None:
                raise Refused("idempotency_in_progress", headers={"Retry-After": "1"})
            return there.answer, True
        async with AsyncExitStack() as unless_answered:
            unless_answered.push_async_callback(self._stores.call, lambda store: store.release(name))
            answer = await work()
            unless_answered.pop_all()
        kept = Entry(fingerprint, answer)
        await self._stores.call(lambda store: store.keep(name, kept, seconds=self._kept_s))
        return answer, False


class _InMemory:
    """The latest entries; each is forgotten when its time has passed, whoever asks or does not."""

    def __init__(self, max_entries: int) -> None:
        self._max_entries = max_entries
        self._entries: OrderedDict[str, tuple[float, Entry]] = OrderedDict()
        self._sweeping: asyncio.TimerHandle | None = None

    async def claim(self, key: str, entry: Entry, *, seconds: float) -> Entry | None:
        found = self._entries.get(key)
        if found is not None and found[0] > time.monotonic():
            return found[1]
        await self.keep(key, entry, seconds=seconds)
        return None

    async def keep(self, key: str, entry: Entry, *, seconds: float) -> None:
        until_s = time.monotonic() + seconds
        self._entries[key] = (until_s, entry)
        self._entries.move_to_end(key)
        while len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)
        if self._sweeping is None or self._sweeping.when() > until_s + _SWEEP_S:
            self._sweep()

    def _sweep(self) -> None:
        now_s = time.monotonic()
        for key in [key for key, (until_s, _) in self._entries.items() if until_s <= now_s]:
            del self._entries[key]
        next_s = min((until_s for until_s, _ in self._entries.values()), default=None)
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        if next_s is not None:
            wait_s = max(_SWEEP_S, next_s - now_s)
            self._sweeping = asyncio.get_running_loop().call_later(wait_s, self._sweep)

    async def release(self, key: str) -> None:
        self._entries.pop(key, None)


class _InRedis:
    """One string a request, which Redis itself expires."""

    def __init__(self, url: str) -> None:
        self._redis = connect(url)

    async def claim(self, key: str, entry: Entry, *, seconds: float) -> Entry | None:
        value = json.dumps([entry.fingerprint, entry.answer])
        there = await self._redis.set(_name(key), value, nx=True, get=True, px=round(seconds * 1e3))
        return None if there is None else Entry(*json.loads(str(there)))

    async def keep(self, key: str, entry: Entry, *, seconds: float) -> None:
        value = json.dumps([entry.fingerprint, entry.answer])
        await self._redis.set(_name(key), value, px=round(seconds * 1e3))

    async def release(self, key: str) -> None:
        await self._redis.delete(_name(key))

    async def close(self) -> None:
        await self._redis.aclose()


def _name(key: str) -> str:
    return f"cough:answer:{key}"
