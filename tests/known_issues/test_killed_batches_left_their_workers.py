"""``kill -9`` of a batch run left its workers waiting for shards for ever, each with its models in memory."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.children import is_alive, spawned_by
from tests.conftest import EXAMPLES


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux' /proc to find the workers")
def test_workers_leave_with_their_run(tmp_path: Path) -> None:
    lines = [f"{i},{EXAMPLES / 'synthetic_cough.m4a'}" for i in range(5_000)]
    (tmp_path / "recordings.csv").write_text("\n".join(["recording_id,path", *lines]) + "\n")
    program = [sys.executable, "-c", "from cough.cli import main; main()", "batch", str(tmp_path)]
    run = subprocess.Popen(
        [*program, "-o", str(tmp_path / "out"), "--workers", "2"], stderr=subprocess.DEVNULL
    )
    try:
        while run.poll() is None and not any((tmp_path / "out").glob("shards/*.parquet")):
            time.sleep(0.05)
        workers = spawned_by(run.pid)
    finally:
        run.kill()
        run.wait()
    assert workers
    deadline = time.monotonic() + 60
    while any(map(is_alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_alive, workers))
