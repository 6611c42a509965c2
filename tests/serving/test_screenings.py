"""``POST /v1/screenings`` against a live server."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest

from cough.screener import Screener, ScreeningResult
from cough.wire import Problem, ScreeningSet
from serving.uploads import UNUSED_HEADER
from tests.conftest import EXAMPLES
from tests.cough.test_audio import film, wav
from tests.serving.conftest import Running, quiet, serve

URL = "/v1/screenings"
GOOD = (EXAMPLES / "synthetic_cough.m4a").read_bytes()
NOISE = (EXAMPLES / "synthetic_noise.ogg").read_bytes()


def upload(client: httpx.Client, data: bytes, name: str = "a.m4a") -> httpx.Response:
    return client.post(URL, files={"file": (name, data)})


def assert_problem(response: httpx.Response, status: int, code: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = Problem.model_validate(response.json())
    assert (problem.status, problem.code) == (status, code)
    assert problem.detail.endswith(".")
    assert problem.request_id == response.headers["x-request-id"]
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
    assert_problem(client.post(URL), 415, "unsupported_media_type")
    assert_problem(client.post(URL, data={"file": "text"}), 415, "unsupported_media_type")
    assert_problem(client.post(URL, files={"other": GOOD}), 422, "invalid_request")
    assert_problem(client.post(URL, files={"file": (None, "text")}), 422, "invalid_request")
    broken = client.post(URL, content=b"--x", headers={"content-type": "multipart/form-data; boundary=x"})
    assert_problem(broken, 422, "invalid_request")
    no_boundary = client.post(URL, content=b"x", headers={"content-type": "multipart/form-data"})
    assert_problem(no_boundary, 422, "invalid_request")
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


def test_a_lying_length_is_cut_off(running: Running) -> None:
    """Says 10 bytes, sends more: the surplus is never part of the request."""
    host, port = urlsplit(running.url).hostname, urlsplit(running.url).port
    with socket.create_connection((host, port), timeout=10) as sock:
        sock.sendall(
            b"POST /v1/screenings HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n"
            b"Content-Length: 10\r\nConnection: close\r\n\r\n" + bytes(100_000)
        )
        assert b" 4" in sock.recv(1_000).splitlines()[0]


def test_answers_while_busy(client: httpx.Client, running: Running) -> None:
    """Screening runs off the event loop: health stays quick under load."""

    def one(_: int) -> int:
        with httpx.Client(base_url=running.url, timeout=60) as other:
            return upload(other, GOOD).status_code

    with ThreadPoolExecutor(8) as pool:
        jobs = pool.map(one, range(24))
        began = time.perf_counter()
        assert client.get("/healthz").status_code == 200
        assert time.perf_counter() - began < 5
        assert set(jobs) == {200}


def test_a_raw_body_is_one_recording(client: httpx.Client) -> None:
    as_form = upload(client, GOOD).json()
    for kind in ("audio/mp4", "video/webm", "audio/webm;codecs=opus", "application/octet-stream"):
        answer = client.post(URL, content=GOOD, headers={"content-type": kind}).json()
        assert {**answer, "timings_ms": 0} == {**as_form, "timings_ms": 0}
    assert_problem(
        client.post(URL, content=GOOD, headers={"content-type": "text/plain"}), 415, "unsupported_media_type"
    )
    assert_problem(client.post(URL, content=b"", headers={"content-type": "audio/mp4"}), 422, "empty")


def test_several_recordings_are_answered_one_by_one(client: httpx.Client) -> None:
    parts = [("file", ("a", GOOD)), ("file", ("b", b"no audio")), ("file", ("c", NOISE))]
    answer = ScreeningSet.model_validate(client.post(URL, files=parts).json())
    first, second, third = answer.recordings
    assert isinstance(first, ScreeningResult) and first.outcome != "rerecord"
    assert isinstance(second, Problem) and second.code == "not_audio"
    assert isinstance(third, ScreeningResult) and third.outcome == "rerecord"
    assert (answer.outcome, answer.n_counted) == ("inconclusive", 1)
    assert answer.conditions == first.conditions


def test_too_many_recordings(client: httpx.Client) -> None:
    assert_problem(client.post(URL, files=[("file", ("a", b"x"))] * 9), 422, "invalid_request")


def test_what_the_person_says_is_answered_beside_the_sound(client: httpx.Client) -> None:
    metadata = {"age": 41, "sex": "female", "symptoms": {"fever": True, "loss_of_smell": False}}
    data = {"metadata": json.dumps(metadata), "prevalence": "0.05"}
    response = client.post(URL, files={"file": GOOD}, data=data)
    assert response.status_code == 200
    assert UNUSED_HEADER not in response.headers
    (condition,) = ScreeningResult.model_validate(response.json()).conditions
    assert condition.symptoms is not None
    assert condition.symptoms.prevalence == 0.05
    assert set(condition.symptoms.contributions) == {"age", "sex", "fever", "loss_of_smell"}
    plain = upload(client, GOOD)
    assert UNUSED_HEADER not in plain.headers
    beside = dict.fromkeys(("symptoms", "fused", "predictive_values"))
    assert plain.json()["conditions"] == [response.json()["conditions"][0] | beside]
    turned_away = client.post(URL, files={"file": NOISE}, data=data)
    assert turned_away.headers[UNUSED_HEADER] == "metadata, prevalence"
    nothing_said = client.post(URL, files={"file": GOOD}, data={"prevalence": "0.05"})
    assert UNUSED_HEADER not in nothing_said.headers
    assert nothing_said.json()["conditions"][0]["predictive_values"]["prevalence"] == 0.05
    uses = client.get("/v1/models").json()["models"][0]["uses"]
    assert uses == {"metadata": True, "prevalence": True, "combines_recordings": True}


@pytest.mark.parametrize(
    "data",
    [
        {"metadata": "{"},
        {"metadata": "[]"},
        {"metadata": '{"name": "Ada"}'},
        {"metadata": '{"age": "41"}'},
        {"metadata": '{"age": 121}'},
        {"metadata": '{"age": 1e999}'},
        {"metadata": '{"sex": "F"}'},
        {"metadata": '{"symptoms": {"fever": "yes"}}'},
        {"metadata": '{"symptoms": {"headache": true}}'},
        {"metadata": "{}" + " " * 20_000},
        {"prevalence": "0"},
        {"prevalence": "1"},
        {"prevalence": "nan"},
        {"prevalence": "5 %"},
        {"prevalence": ["0.1", "0.2"]},
        {"other": "1"},
    ],
    ids=lambda data: str(data)[:40],
)
def test_anything_else_in_the_form_is_refused(client: httpx.Client, data: dict[str, str]) -> None:
    assert_problem(client.post(URL, files={"file": GOOD}, data=data), 422, "invalid_request")


def test_an_answer_is_never_cached_or_sniffed(client: httpx.Client) -> None:
    headers = upload(client, GOOD).headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"


def test_files_of_one_request_wait_for_each_other() -> None:
    """They are admitted together; the bound on waiting is for those who come after."""
    with serve(quiet(max_wait_jobs=1.0)) as running, httpx.Client(base_url=running.url, timeout=60) as client:
        answer = client.post(URL, files=[("file", (str(i), GOOD)) for i in range(6)])
        assert answer.status_code == 200
        assert ScreeningSet.model_validate(answer.json()).n_counted == 6
