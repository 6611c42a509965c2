"""The wall clock is set forward or back while the service runs."""

from __future__ import annotations

import asyncio
import time

import pytest

from serving.idempotency import Idempotency
from serving.problems import Refused
from serving.rates import Rates

DAY_S = 86_400.0


@pytest.mark.parametrize("jump_s", [DAY_S, -DAY_S], ids=["forward", "back"])
def test_nobody_is_held_back_longer_than_a_window(jump_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        rates = Rates("2/minute")
        await _two_and_no_more(rates)
        wall = time.time
        monkeypatch.setattr(time, "time", lambda: wall() + jump_s)
        await _two_and_no_more(rates)
        await rates.close()

    asyncio.run(story())


@pytest.mark.parametrize("jump_s", [DAY_S, -DAY_S], ids=["forward", "back"])
def test_a_kept_answer_stays_kept(jump_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        kept = Idempotency(kept_s=60, claim_s=5, max_entries=10)

        async def work() -> str:
            return "{}"

        assert await kept.once("app", "key", "same", work) == ("{}", False)
        wall = time.time
        monkeypatch.setattr(time, "time", lambda: wall() + jump_s)
        assert await kept.once("app", "key", "same", work) == ("{}", True)
        await kept.close()

    asyncio.run(story())


async def _two_and_no_more(rates: Rates) -> None:
    """The third is told to come back within the window."""
    for _ in range(2):
        await rates.admit("app")
    with pytest.raises(Refused) as refused:
        await rates.admit("app")
    assert refused.value.headers is not None
    assert 1 <= int(refused.value.headers["Retry-After"]) <= 60
