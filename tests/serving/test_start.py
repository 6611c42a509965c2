"""Starting and ending ``cough serve`` for real."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from cough import errors
from cough.bundle import DEFAULT_BUNDLE
from serving.app import create_app
from tests.children import children_of, is_alive
from tests.conftest import EXAMPLES
from tests.serving.conftest import quiet
from tests.serving.test_limits import until
from tests.serving.test_screenings import GOOD

COMMAND = [str(Path(sys.executable).with_name("cough")), "serve"]
"""As in the Dockerfile."""


class Started(NamedTuple):
    process: subprocess.Popen[str]
    url: str


@contextmanager
def cough_serve(*options: str) -> Iterator[Started]:
    """``cough serve`` on a free port, until it ends or is killed."""
    with subprocess.Popen([*COMMAND, "--port", "0", *options], stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            url = None
            for line in process.stderr:
                if found := re.search(r"http://127\.0\.0\.1:\d+", json.loads(line)["event"]):
                    url = found.group()
                    break
            assert url
            yield Started(process, url)
        finally:
            process.kill()


def screen(url: str) -> int:
    return httpx.post(f"{url}/v1/screenings", files={"file": GOOD}, timeout=60).status_code


def test_an_address_that_is_taken_is_said_in_a_line() -> None:
    """It was said in the log alone, as JSON, after the bundle was loaded."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run([*COMMAND, "--port", str(port)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith("error: address_unusable: Nothing can listen at 127.0.0.1")
    done = subprocess.run(
        [*COMMAND, "--host", "192.0.2.1", "--allow-no-keys"], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr.split(":")[1].strip()) == (2, "address_unusable")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_what_was_accepted_is_finished(how: signal.Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    """The signal comes while requests wait for the one worker, which is held still until after it."""
    monkeypatch.setenv("COUGH_MAX_WAIT_JOBS", "100")
    with cough_serve("--workers", "1") as (process, url):
        (worker,) = children_of(process.pid)
        os.kill(worker, signal.SIGSTOP)
        with ThreadPoolExecutor(3) as threads:
            jobs = [threads.submit(screen, url) for _ in range(3)]
            until(lambda: "cough_queue_waiting 2.0" in httpx.get(f"{url}/metrics").text)
            process.send_signal(how)
            time.sleep(0.5)
            os.kill(worker, signal.SIGCONT)
            assert [job.result() for job in jobs] == [200] * 3
        assert process.stderr is not None
        lines = [json.loads(line) for line in process.stderr.read().splitlines()]
        assert process.wait(30) in (0, -how, 128 + how)
        assert [line["status"] for line in lines if line.get("route") == "/v1/screenings"] == [200] * 3
        assert not [line for line in lines if line["level"] in ("error", "critical")]
        until(lambda: not is_alive(worker))


def test_nothing_is_left_of_a_service_that_was_killed() -> None:
    with cough_serve("--workers", "2") as (process, url):
        until(lambda: len(children_of(process.pid)) == 2)
        workers = children_of(process.pid)
        assert screen(url) == 200
        process.kill()
        process.wait()
        until(lambda: not any(is_alive(pid) for pid in workers))


def test_a_signal_to_the_whole_group_ends_the_workers_last() -> None:
    """As a terminal and systemd send it."""
    with cough_serve("--workers", "1") as (process, url):
        (worker,) = children_of(process.pid)
        os.kill(worker, signal.SIGTERM)
        os.kill(worker, signal.SIGINT)
        assert screen(url) == 200
        assert children_of(process.pid) == [worker]


@pytest.mark.parametrize("options", [["--host", "0.0.0.0"], ["--keys", "/absent"], ["--bundle", "/absent"]])
def test_refuses_to_start_with_one_line(options: list[str]) -> None:
    done = subprocess.run([*COMMAND, "--port", "0", *options], capture_output=True, text=True, timeout=600)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_bad_bundle_fails_at_start(tmp_path: Path) -> None:
    with pytest.raises(errors.BundleMissing):
        create_app(quiet(bundle=tmp_path))


def test_models_that_cannot_run_fail_at_start(tmp_path: Path) -> None:
    """Hashes that match say nothing about what was hashed: the first worker finds out."""
    folder = tmp_path / "bundle"
    shutil.copytree(DEFAULT_BUNDLE, folder)
    (folder / "gate.onnx").write_bytes(b"no model")
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["files"]["gate.onnx"] = hashlib.sha256(b"no model").hexdigest()
    (folder / "bundle.json").write_text(json.dumps(manifest))
    done = subprocess.run(
        [*COMMAND, "--port", "0", "--bundle", str(folder)], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 3
    assert "gate.onnx is not a model that can be run" in done.stderr


def test_serving_imports_nothing_heavy() -> None:
    program = (
        "import sys; from serving.app import create_app; create_app()\n"
        "import serving.worker\n"
        "heavy = {'torch', 'torchaudio', 'librosa', 'sklearn', 'scipy', 'matplotlib', 'onnx'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_examples_that_warm_a_worker_are_there() -> None:
    from serving.worker import _WARM_UP

    assert _WARM_UP == EXAMPLES / "synthetic_cough.m4a" and _WARM_UP.exists()
