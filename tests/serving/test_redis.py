"""Rates and idempotency shared through Redis, and what happens when it goes."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from serving import backup
from serving.idempotency import Idempotency
from serving.problems import Refused
from serving.rates import Rates, network_of

needs_redis = pytest.mark.skipif(
    shutil.which("redis-server") is None, reason="no redis-server (Debian: redis-server)"
)


class RedisServer:
    """A throw-away Redis without a disk."""

    def __init__(self, port: int, folder: Path) -> None:
        self.url = f"redis://127.0.0.1:{port}/0"
        self._process = subprocess.Popen(
            ["redis-server", "--port", str(port), "--save", "", "--appendonly", "no", "--dir", str(folder)],
            stdout=subprocess.DEVNULL,
        )
        for _ in range(1_000):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise AssertionError("redis-server does not start")

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = RedisServer(port, tmp_path)
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is not a Redis that has gone."""
    monkeypatch.setattr(backup, "SOCKET_S", 30.0)


def idempotency(url: str | None, failures: list[int]) -> Idempotency:
    return Idempotency(
        kept_s=60, claim_s=60, max_entries=9, redis_url=url, on_failure=lambda: failures.append(1)
    )


async def answer() -> str:
    return '{"é": 1}'


@needs_redis
def test_two_services_share_answers(redis: RedisServer) -> None:
    async def scenario() -> None:
        failures: list[int] = []
        one, two = idempotency(redis.url, failures), idempotency(redis.url, failures)
        assert await one.once("me", "k", "f", answer) == ('{"é": 1}', False)
        assert await two.once("me", "k", "f", answer) == ('{"é": 1}', True)
        with pytest.raises(Refused) as refused:
            await two.once("me", "k", "g", answer)
        assert refused.value.code == "idempotency_mismatch"
        assert not failures
        await one.close()
        await two.close()

    asyncio.run(scenario())


@needs_redis
def test_two_services_share_rates(redis: RedisServer) -> None:
    async def scenario() -> None:
        one, two = Rates("2/minute", redis_url=redis.url), Rates("2/minute", redis_url=redis.url)
        await one.admit("me")
        await two.admit("me")
        with pytest.raises(Refused) as refused:
            await one.admit("me")
        assert refused.value.code == "rate_limited"
        await one.admit("you")
        await one.close()
        await two.close()

    asyncio.run(scenario())


@needs_redis
def test_memory_takes_over_while_redis_is_gone(redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup, "PAUSE_S", 0.2)

    async def scenario() -> None:
        failures: list[int] = []
        answers = idempotency(redis.url, failures)
        rates = Rates("1/minute", redis_url=redis.url, on_failure=lambda: failures.append(1))
        await rates.admit("me")
        await answers.once("me", "before", "f", answer)
        redis.stop()
        await rates.admit("me")  # counted anew, in memory
        with pytest.raises(Refused):
            await rates.admit("me")
        assert await answers.once("me", "k", "f", answer) == ('{"é": 1}', False)
        assert await answers.once("me", "k", "f", answer) == ('{"é": 1}', True)
        assert len(failures) >= 2
        await answers.close()
        await rates.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8:0:0:ffff::1", "2001:db8::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        (None, "unknown"),
        ("testclient", "unknown"),
    ],
)
def test_who_an_address_is(address: str | None, network: str) -> None:
    assert network_of(address) == network
