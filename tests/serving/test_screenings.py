"""``POST /v1/screenings`` against a live server."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest

from cough.screener import Screener, ScreeningResult
from serving.problems import Problem
from tests.conftest import EXAMPLES
from tests.cough.test_audio import film, wav

URL = "/v1/screenings"
GOOD = (EXAMPLES / "synthetic_cough.m4a").read_bytes()


def upload(client: httpx.Client, data: bytes, name: str = "a.m4a") -> httpx.Response:
    return client.post(URL, files={"file": (name, data)})


def assert_problem(response: httpx.Response, status: int, code: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = Problem.model_validate(response.json())
    assert (problem.status, problem.code) == (status, code)
    assert problem.detail.endswith(".") or code == "invalid_request"
    assert "Traceback" not in response.text


def test_answer_equals_that_of_the_library(client: httpx.Client, screener: Screener) -> None:
    response = upload(client, GOOD)
    assert response.status_code == 200
    answer = ScreeningResult.model_validate(response.json())
    ours = screener.screen(GOOD)
    assert answer.model_dump(exclude={"timings_ms"}) == ours.model_dump(exclude={"timings_ms"})


def test_name_and_type_of_the_upload_do_not_matter(client: httpx.Client) -> None:
    files = {"file": ("../../etc/passwd\0.txt", GOOD, "text/plain")}
    assert client.post(URL, files=files).json()["outcome"] != "rerecord"


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"", 422, "empty"),
        (b"hello" * 100, 415, "not_audio"),
        (GOOD[: len(GOOD) // 2], 422, "truncated"),
        (film(None), 422, "no_audio_track"),
        (wav(np.zeros((1_000, 32))), 422, "too_many_channels"),
        (wav(np.full(1_000, np.nan), subtype="FLOAT"), 422, "non_finite"),
        (wav(np.zeros(21 * 8_000, np.int16), rate_hz=8_000), 422, "too_long"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_unusable_recordings_are_problems(client: httpx.Client, data: bytes, status: int, code: str) -> None:
    assert_problem(upload(client, data), status, code)


def test_incomplete_requests(client: httpx.Client) -> None:
    assert_problem(client.post(URL), 422, "invalid_request")
    assert_problem(client.post(URL, data={"file": "text"}), 422, "invalid_request")
    broken = client.post(URL, content=b"--x", headers={"content-type": "multipart/form-data; boundary=x"})
    assert broken.status_code in (400, 422)
    no_boundary = client.post(URL, content=b"x", headers={"content-type": "multipart/form-data"})
    assert_problem(no_boundary, 400, "invalid_request")
    assert_problem(client.get(URL), 405, "method_not_allowed")
    assert_problem(client.get("/nothing"), 404, "not_found")


def test_too_large_by_its_own_word(client: httpx.Client) -> None:
    assert_problem(upload(client, bytes(2_000_000)), 413, "too_large")


def test_too_large_in_chunks_is_not_read_to_the_end(client: httpx.Client) -> None:
    sent = 0

    def body() -> Iterator[bytes]:
        nonlocal sent
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        for _ in range(2_000):
            sent += 65_536
            yield bytes(65_536)

    headers = {"content-type": "multipart/form-data; boundary=x"}
    try:
        response = client.post(URL, content=body(), headers=headers)
    except httpx.TransportError:
        pass  # the connection was closed on us while sending, which is the point
    else:
        assert_problem(response, 413, "too_large")
    assert sent < 60 * 1024 * 1024


def test_a_lying_length_is_cut_off(address: str) -> None:
    """Says 10 bytes, sends more: the surplus is never part of the request."""
    host, port = urlsplit(address).hostname, urlsplit(address).port
    with socket.create_connection((host, port), timeout=10) as sock:
        sock.sendall(
            b"POST /v1/screenings HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n"
            b"Content-Length: 10\r\nConnection: close\r\n\r\n" + bytes(100_000)
        )
        assert b" 4" in sock.recv(1_000).splitlines()[0]


def test_answers_while_busy(client: httpx.Client, address: str) -> None:
    """Screening runs off the event loop: health stays quick under load."""

    def one(_: int) -> int:
        with httpx.Client(base_url=address, timeout=60) as other:
            return upload(other, GOOD).status_code

    with ThreadPoolExecutor(8) as pool:
        jobs = pool.map(one, range(24))
        began = time.perf_counter()
        assert client.get("/healthz").status_code == 200
        assert time.perf_counter() - began < 5
        assert set(jobs) == {200}


def test_health_and_documentation(client: httpx.Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/docs").status_code == 200
    document = client.get("/openapi.json").json()
    operation = document["paths"][URL]["post"]
    assert {"200", "413", "415", "422"} <= set(operation["responses"])
    assert "ScreeningResult" in document["components"]["schemas"]
