"""``cough serve`` as a process of its own, for runs that measure it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx

from tests.children import children_of


class Live(NamedTuple):
    """A service that is ready."""

    pid: int
    url: str

    @property
    def pids(self) -> list[int]:
        """The service and its workers."""
        return [self.pid, *children_of(self.pid)]

    @property
    def rss_mb(self) -> list[float]:
        """Resident memory of the service and each worker."""
        page = os.sysconf("SC_PAGESIZE")
        return [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * page / 1e6 for pid in self.pids]


@contextmanager
def live_service(*, workers: int, **settings: str) -> Iterator[Live]:
    """Start it with these settings (``rate="off"``), wait until all workers are warm, end it."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    variables = {f"COUGH_{name.upper()}": value for name, value in settings.items()}
    command = [sys.executable, "-c", "from cough.cli import main; main()", "serve"]
    options = ["--port", str(port), "--workers", str(workers)]
    with subprocess.Popen(
        [*command, *options],
        stderr=subprocess.DEVNULL,
        env={**os.environ, "COUGH_RATE": "off", "COUGH_LOG_LEVEL": "warning", **variables},
    ) as process:
        try:
            live = Live(process.pid, f"http://127.0.0.1:{port}")
            _wait_until_warm(live, workers, process)
            yield live
        finally:
            process.terminate()


def _wait_until_warm(live: Live, workers: int, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            ready = httpx.get(f"{live.url}/readyz")
            if ready.status_code == 200 and ready.json()["workers_warm"] == workers:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise RuntimeError("the service did not start")
