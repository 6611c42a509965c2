"""Limits on time, memory, queue and rate, each at a live server whose worker can be held still."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx
import pytest

from serving.pool import Pool
from tests.serving.conftest import Running, quiet, serve
from tests.serving.test_screenings import GOOD, URL, assert_problem, upload

HEAD = b"POST /v1/screenings HTTP/1.1\r\nHost: x\r\nContent-Type: audio/mp4\r\n"


@pytest.fixture(scope="module")
def tight() -> Iterator[Running]:
    """One worker, room for one more recording, 2 s for a body, 1 s for headers."""
    patient = {"deadline_s": 120.0, "job_s": 120.0}
    with serve(
        quiet(max_waiting=1, upload_s=2.0, header_s=1.0, max_bytes=150_000, max_held_bytes=150_000, **patient)
    ) as running:
        yield running


@contextmanager
def connection(running: Running) -> Iterator[socket.socket]:
    where = urlsplit(running.url)
    with socket.create_connection((where.hostname, where.port), timeout=20) as sock:
        yield sock


@contextmanager
def held_still(pool: Pool) -> Iterator[None]:
    """Workers hang for as long as this lasts."""
    pids = pool.pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def until(condition: object, seconds: float = 60.0) -> None:
    """Wait until ``condition()`` holds."""
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.01)


def send(running: Running, **kwargs: object) -> httpx.Response:
    with httpx.Client(base_url=running.url, timeout=120) as client:
        return upload(client, GOOD, **kwargs)  # type: ignore[arg-type]


def answer(sock: socket.socket) -> bytes:
    pieces = []
    while piece := sock.recv(65_536):
        pieces.append(piece)
    return b"".join(pieces)


@pytest.mark.parametrize("how", [b"Content-Length: 1000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"])
def test_a_slow_body_is_408(tight: Running, how: bytes) -> None:
    with connection(tight) as sock:
        sock.sendall(HEAD + how)
        came = answer(sock)
    assert came.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"upload_timeout"' in came
    assert b"connection: close" in came.lower()


def test_slow_headers_are_cut_off(tight: Running) -> None:
    with connection(tight) as sock:
        sock.sendall(HEAD)
        began = time.monotonic()
        assert answer(sock) == b""
        assert time.monotonic() - began < 10


def test_slow_headers_of_a_second_request_are_cut_off_too(tight: Running) -> None:
    with connection(tight) as sock:
        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert sock.recv(65_536).startswith(b"HTTP/1.1 200")
        sock.sendall(HEAD)
        assert b"HTTP" not in answer(sock)


def test_what_is_no_http_is_a_problem(tight: Running) -> None:
    with connection(tight) as sock:
        sock.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        came = answer(sock)
    assert came.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in came and b"malformed_http" in came


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: -1\r\n\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"Content-Length: 99999999999999999999999\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\nnot a chunk",
        b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx",
        b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_lies_about_the_length_are_refused(tight: Running, head: bytes) -> None:
    with connection(tight) as sock:
        sock.sendall(HEAD + head)
        sock.shutdown(socket.SHUT_WR)
        came = answer(sock)
    assert came == b"" or came.startswith(b"HTTP/1.1 4")
    assert send(tight).status_code == 200


def test_all_bodies_together_are_bounded(tight: Running) -> None:
    with connection(tight) as sock:
        sock.sendall(HEAD + b"Content-Length: 120000\r\n\r\n" + bytes(110_000))
        until(lambda: _held(tight) >= 110_000)
        refused = send(tight)
        assert_problem(refused, 503, "overloaded")
        assert int(refused.headers["retry-after"]) >= 1
    until(lambda: _held(tight) == 0)
    assert send(tight).status_code == 200


def _held(running: Running) -> int:
    with httpx.Client(base_url=running.url) as client:
        for line in client.get("/metrics").text.splitlines():
            if line.startswith("cough_held_bytes "):
                return int(float(line.split()[1]))
    raise AssertionError("no such metric")


def test_a_full_queue_is_503_and_what_was_accepted_is_answered(tight: Running) -> None:
    pool = tight.service.pool
    with ThreadPoolExecutor(2) as threads:
        with held_still(pool):
            first = threads.submit(send, tight)
            until(lambda: pool.room.busy == 1)
            second = threads.submit(send, tight)
            until(lambda: pool.room.waiting == 1)
            refused = send(tight)
        assert_problem(refused, 503, "overloaded")
        assert int(refused.headers["retry-after"]) >= 1
        assert first.result().status_code == second.result().status_code == 200
    assert send(tight).status_code == 200


def test_who_is_turned_away_has_not_used_up_a_request() -> None:
    with serve(quiet(max_wait_jobs=1.0, job_s=120.0, deadline_s=120.0, rate="3/minute")) as running:
        room = running.service.pool.room
        with ThreadPoolExecutor(2) as threads:
            with held_still(running.service.pool):
                first = threads.submit(send, running)
                until(lambda: room.busy == 1)
                second = threads.submit(send, running)
                until(lambda: room.waiting == 1)
                assert_problem(send(running), 503, "overloaded")
            assert first.result().status_code == second.result().status_code == 200
        assert send(running).status_code == 200
        assert_problem(send(running), 429, "rate_limited")
        counted = httpx.get(f"{running.url}/metrics").text
    assert 'cough_requests_total{code="overloaded",route="/v1/screenings",status="503"} 1.0' in counted


def test_past_the_deadline_is_504() -> None:
    with serve(quiet(deadline_s=1.0, job_s=120.0)) as running, held_still(running.service.pool):
        began = time.monotonic()
        late = send(running)
        assert_problem(late, 504, "deadline_exceeded")
        assert 1.0 <= time.monotonic() - began < 60
        assert late.headers["retry-after"]
        assert httpx.get(f"{running.url}/healthz").status_code == 200


def test_the_wait_that_is_expected_is_bounded(tight: Running) -> None:
    pool = tight.service.pool
    usual, pool.room.job_s = pool.room.job_s, 1_000.0
    try:
        with ThreadPoolExecutor(1) as threads, held_still(pool):
            threads.submit(send, tight)
            until(lambda: pool.room.busy == 1)
            refused = send(tight)
        assert_problem(refused, 503, "overloaded")
        assert int(refused.headers["retry-after"]) == 1_000
    finally:
        until(lambda: pool.room.busy == 0)
        pool.room.job_s = usual


def test_a_recording_that_is_refused_early_is_not_read(tight: Running) -> None:
    """A peer that asks first (Expect) is told no before it has sent a byte."""
    pool = tight.service.pool
    with ThreadPoolExecutor(2) as threads, held_still(pool):
        threads.submit(send, tight)
        until(lambda: pool.room.busy == 1)
        threads.submit(send, tight)
        until(lambda: pool.room.waiting == 1)
        with connection(tight) as sock:
            sock.sendall(HEAD + b"Content-Length: 100000\r\nExpect: 100-continue\r\n\r\n")
            came = answer(sock)
    assert came.startswith(b"HTTP/1.1 503 ")


def test_uploads_never_touch_the_disk(tight: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    def refuse(self: object) -> None:
        raise AssertionError("an upload went to disk")

    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", refuse)
    with httpx.Client(base_url=tight.url, timeout=120) as client:
        assert_problem(client.post(URL, files={"file": bytes(140_000)}), 415, "not_audio")
