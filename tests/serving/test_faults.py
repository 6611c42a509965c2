"""What breaks, and who notices: workers killed, hung, starved; clients that leave; a bundle that changes."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest

from cough import errors
from cough.bundle import DEFAULT_BUNDLE, Bundle
from serving.app import create_app
from serving.frames import BrokenFrame, Frame, encode, receive
from serving.pool import Pool, PoolConfig, Unstarted, WorkerLost
from serving.room import Room
from serving.worker import WorkerConfig
from tests.cough.test_audio import wav
from tests.serving.conftest import Running, quiet, serve
from tests.serving.test_limits import send, until
from tests.serving.test_screenings import GOOD, assert_problem

JOB_S = 5.0


@pytest.fixture(scope="module")
def pair() -> Iterator[Running]:
    """Two workers, each with 5 s for a recording."""
    with serve(quiet(workers=2, job_s=JOB_S)) as running:
        until(lambda: running.service.pool.room.warm == 2, 60)
        yield running


@pytest.fixture(autouse=True)
def all_warm(request: pytest.FixtureRequest) -> None:
    if "pair" in request.fixturenames:
        pool = request.getfixturevalue("pair").service.pool
        until(lambda: pool.room.warm == 2, 60)


@pytest.fixture(scope="module")
def slow() -> bytes:
    """Half a second of work in 60 kB: a minute of four channels at 192 kHz."""
    return wav(np.zeros((60 * 192_000, 4), np.int16), rate_hz=192_000, container="FLAC")


def kill_in_the_middle(pool: Pool) -> int:
    """Kill the worker that first computes for longer than an ordinary recording takes; its process id."""
    ticks_per_s = os.sysconf("SC_CLK_TCK")

    def computed_s(pid: int) -> float:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / ticks_per_s

    before = {pid: computed_s(pid) for pid in pool.pids}
    while True:
        for pid, seconds in before.items():
            if computed_s(pid) - seconds > 0.25:
                os.kill(pid, signal.SIGKILL)
                return pid
        time.sleep(0.005)


def test_a_worker_killed_in_the_middle_costs_its_recording_only(pair: Running, slow: bytes) -> None:
    pool = pair.service.pool
    with ThreadPoolExecutor(5) as threads:
        doomed = threads.submit(httpx.post, f"{pair.url}/v1/screenings", files={"file": slow}, timeout=120)
        until(lambda: pool.room.busy == 1)
        victim = kill_in_the_middle(pool)
        others = [threads.submit(send, pair) for _ in range(4)]
        assert_problem(doomed.result(), 422, "decoder_failed")
        assert [job.result().status_code for job in others] == [200] * 4
    until(lambda: pool.room.warm == 2)
    assert victim not in pool.pids
    assert send(pair).status_code == 200


def test_a_job_that_its_worker_never_began_goes_to_another(pair: Running) -> None:
    """A worker that was killed before it read the job is not the recording's doing."""
    pool = pair.service.pool
    victim, other = pool.pids
    with ThreadPoolExecutor(4) as threads:
        for pid in (victim, other):
            os.kill(pid, signal.SIGSTOP)
        jobs = [threads.submit(send, pair) for _ in range(4)]
        until(lambda: pool.room.busy == 2 and pool.room.waiting == 2)
        os.kill(victim, signal.SIGKILL)
        os.kill(other, signal.SIGCONT)
        assert [job.result().status_code for job in jobs] == [200] * 4


def test_a_worker_that_hangs_is_replaced(pair: Running) -> None:
    pool = pair.service.pool
    hung = pool.pids[0]
    os.kill(hung, signal.SIGSTOP)
    with ThreadPoolExecutor(4) as threads:
        answers = [job.result() for job in [threads.submit(send, pair) for _ in range(4)]]
    codes = sorted(answer.status_code for answer in answers)
    assert codes == [200, 200, 200, 422]
    assert_problem(next(a for a in answers if a.status_code == 422), 422, "decoder_timeout")
    assert hung not in pool.pids
    until(lambda: pool.room.warm == 2, 60)


def test_a_worker_that_dies_idle_costs_nothing(pair: Running) -> None:
    pool = pair.service.pool
    victims = pool.pids
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    assert send(pair).status_code == 200
    until(lambda: pool.room.warm == 2)
    assert not set(victims) & set(pool.pids)
    assert 'cough_workers_lost_total{why="idle"}' in httpx.get(f"{pair.url}/metrics").text


def test_one_recording_of_several_may_break_its_worker(pair: Running, slow: bytes) -> None:
    files = [("file", GOOD), ("file", slow), ("file", GOOD)]
    with ThreadPoolExecutor(1) as threads:
        job = threads.submit(httpx.post, f"{pair.url}/v1/screenings", files=files, timeout=120)
        kill_in_the_middle(pair.service.pool)
        answer = job.result()
    assert answer.status_code == 200
    codes = [one.get("code", "measured") for one in answer.json()["recordings"]]
    assert codes == ["measured", "decoder_failed", "measured"]


def test_a_client_that_leaves_mid_upload_is_only_logged(pair: Running) -> None:
    where = urlsplit(pair.url)
    for _ in range(5):
        with socket.create_connection((where.hostname, where.port), timeout=20) as sock:
            sock.sendall(
                b"POST /v1/screenings HTTP/1.1\r\nHost: x\r\nContent-Type: audio/mp4\r\n"
                b"Content-Length: 100000\r\n\r\n" + bytes(50_000)
            )
    until(lambda: 'code="client_gone"' in httpx.get(f"{pair.url}/metrics").text)
    assert send(pair).status_code == 200


def test_a_client_that_leaves_before_its_answer_leaves_no_trace(pair: Running, slow: bytes) -> None:
    pool = pair.service.pool
    where = urlsplit(pair.url)
    head = (
        "POST /v1/screenings HTTP/1.1\r\nHost: x\r\nContent-Type: audio/mp4\r\n"
        f"Content-Length: {len(slow)}\r\n\r\n"
    )
    for _ in range(4):
        with socket.create_connection((where.hostname, where.port), timeout=20) as sock:
            sock.sendall(head.encode() + slow)
    until(lambda: pool.room.busy == pool.room.waiting == 0)
    assert send(pair).status_code == 200


def copied_bundle(to: Path) -> Path:
    shutil.copytree(DEFAULT_BUNDLE, to)
    return to


def test_a_tampered_bundle_does_not_start(tmp_path: Path) -> None:
    folder = copied_bundle(tmp_path / "bundle")
    with (folder / "gate.onnx").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(errors.BundleTampered):
        create_app(quiet(bundle=folder))


def test_a_bundle_tampered_with_later_is_never_loaded(tmp_path: Path) -> None:
    """Warm workers go on with what they verified; a new one refuses, and then nothing is ready."""
    folder = copied_bundle(tmp_path / "bundle")
    with serve(quiet(bundle=folder)) as running, httpx.Client(base_url=running.url, timeout=30) as client:
        with (folder / "gate.onnx").open("ab") as file:
            file.write(b"\0")
        assert client.get("/readyz").status_code == send(running).status_code == 200
        os.kill(running.service.pool.pids[0], signal.SIGKILL)
        until(lambda: client.get("/readyz").status_code == 503)
        assert_problem(client.get("/readyz"), 503, "not_ready")
        until(lambda: send(running).status_code == 503)
        assert client.get("/healthz").status_code == 200


def worker_config(**given: object) -> WorkerConfig:
    defaults = {"bundle": DEFAULT_BUNDLE, "max_bytes": 1 << 20, "max_seconds": 20, "job_s": 5}
    return WorkerConfig.model_validate({**defaults, "memory_bytes": 1 << 30, **given})


def patient() -> Room:
    return Room(max_waiting=4, max_wait_s=60)


def test_another_bundle_than_at_the_start_is_refused() -> None:
    async def scenario() -> None:
        config = PoolConfig(size=1, job_s=5)
        with pytest.raises(Unstarted):
            await Pool(config, worker_config(), room=patient(), bundle_sha256="0" * 64).start()

    asyncio.run(scenario())


def test_a_worker_may_not_take_all_memory(bundle: Bundle) -> None:
    """With no address space to add, the recording is refused; the pool goes on."""

    async def scenario() -> None:
        config = PoolConfig(size=1, job_s=20)
        worker = worker_config(memory_bytes=1 << 20)
        pool = Pool(config, worker, room=patient(), bundle_sha256=bundle.sha256)
        await pool.start()
        try:
            for _ in range(2):
                try:
                    frame = await pool.submit("screen", [bytes(128 << 20)])[0]
                except WorkerLost as error:
                    assert error.loss in ("crashed", "exhausted")
                else:
                    assert frame.head["kind"] == "exhausted"
            assert (await pool.submit("screen", [b"no audio"])[0]).head["code"] == "not_audio"
        finally:
            await pool.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "sent",
    [b"", b"\0\0", b"\xff" * 8, b"\0\0\0\x02\0\0\0\0[]", b"\0\0\0\x02\0\0\0\0{,", b"\0\0\0\x02\0\0\0\x05{}a"],
)
def test_a_worker_that_sends_nonsense_is_not_believed(sent: bytes) -> None:
    async def scenario() -> None:
        stream = asyncio.StreamReader()
        stream.feed_data(sent)
        stream.feed_eof()
        with pytest.raises(BrokenFrame):
            await receive(stream)

    asyncio.run(scenario())


def test_frames_come_out_as_they_went_in() -> None:
    async def scenario() -> None:
        stream = asyncio.StreamReader()
        frame = Frame({"kind": "é"}, bytes(range(256)))
        stream.feed_data(b"".join(encode(frame)))
        assert await receive(stream) == frame

    asyncio.run(scenario())
