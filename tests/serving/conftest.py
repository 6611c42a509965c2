"""A real server on a free port."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import httpx
import pytest

from serving.run import build_server
from serving.service import Service
from serving.settings import Settings


class Running(NamedTuple):
    """A service that answers."""

    url: str
    service: Service


def quiet(**given: Any) -> Settings:
    """Settings for a test: one worker on a free port, no rate, nothing from the machine's own files."""
    defaults: dict[str, Any] = {
        "port": 0,
        "workers": 1,
        "rate": "off",
        "max_wait_s": 60.0,
        "max_wait_jobs": 1000.0,
        "start_s": 600.0,
    }
    return Settings(_env_file=None, **{**defaults, **given})


@contextmanager
def serve(settings: Settings) -> Iterator[Running]:
    """Run the service in a thread, as ``cough serve`` would."""
    server = build_server(settings)
    app = server.config.app
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
        assert thread.is_alive()
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield Running(f"http://127.0.0.1:{port}", app.state.service)  # type: ignore[union-attr]
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


@pytest.fixture(scope="session")
def running() -> Iterator[Running]:
    """A service that takes 1 MiB and 20 s."""
    with serve(quiet(max_bytes=1024 * 1024, max_seconds=20.0)) as running:
        yield running


@pytest.fixture
def client(running: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.url, timeout=120) as client:
        yield client
