"""``cough.client`` against the live server, and against a network that fails."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from cough import errors
from cough.client import (
    CoughClient,
    DecoderFailed,
    IdempotencyMismatch,
    InvalidRequest,
    Overloaded,
    RateLimited,
    ServiceBroken,
    ServiceError,
    Unauthorized,
    Unreachable,
)
from cough.screener import Screener, ScreeningResult
from cough.symptoms import SymptomAnswers
from cough.wire import Problem
from serving.problems import CATALOGUE
from tests.conftest import EXAMPLES
from tests.serving.conftest import Running
from tests.serving.test_screenings import GOOD


@pytest.fixture
def cough(running: Running) -> CoughClient:
    return CoughClient(running.url)


def test_same_answers_as_the_library(cough: CoughClient, screener: Screener) -> None:
    with cough:
        path = EXAMPLES / "synthetic_cough.m4a"
        ours = screener.screen(path).model_dump(exclude={"timings_ms"})
        assert cough.screen(path).model_dump(exclude={"timings_ms"}) == ours
        metadata = {"age": 30, "symptoms": {"fever": True}}
        theirs = cough.screen(GOOD, metadata=metadata, prevalence=0.1)
        said = SymptomAnswers(age=30, fever=True)
        ours = screener.screen(path, symptoms=said, prevalence=0.1).model_dump(exclude={"timings_ms"})
        assert theirs.model_dump(exclude={"timings_ms"}) == ours
        assert cough.gate(path).usable
        assert cough.models().models[0].model == theirs.model
        assert "no_cough" in cough.reasons().rerecord


def test_same_errors_as_the_library(cough: CoughClient, tmp_path: Path) -> None:
    with cough:
        with pytest.raises(errors.NotAudio):
            cough.screen(b"no audio")
        with pytest.raises(errors.Truncated) as truncated:
            cough.screen(GOOD[:20_000])
        assert truncated.value.__notes__[0].startswith("request ")
        with pytest.raises(errors.TooLarge):
            cough.screen(bytes(2_000_000))
        with pytest.raises(errors.FileMissing):
            cough.screen(tmp_path / "absent")


def test_several(cough: CoughClient) -> None:
    with cough:
        good, bad = cough.screen_several([GOOD, b"no audio"]).recordings
        assert isinstance(good, ScreeningResult)
        assert isinstance(bad, Problem) and bad.code == "not_audio"


def test_an_idempotency_key_of_ones_own(cough: CoughClient) -> None:
    with cough:
        first = cough.screen(GOOD, idempotency_key="my-own")
        assert cough.screen(GOOD, idempotency_key="my-own") == first
        with pytest.raises(IdempotencyMismatch):
            cough.screen(b"other", idempotency_key="my-own")


Handler = Callable[[httpx.Request], httpx.Response]


def failing(handler: Handler, waits: list[float]) -> CoughClient:
    return CoughClient("http://x", transport=httpx.MockTransport(handler), sleep=waits.append)


def refusal(code: str, **headers: str) -> httpx.Response:
    status, detail = CATALOGUE[code]
    body = Problem(title="x", status=status, detail=detail, code=code, request_id="id")
    return httpx.Response(status, json=body.model_dump(), headers=headers)


def test_tries_again_as_it_is_told_with_the_same_key(running: Running) -> None:
    seen: list[str] = []
    waits: list[float] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["idempotency-key"])
        if len(seen) == 1:
            raise httpx.ReadError("lost")
        if len(seen) < 4:
            return refusal(["rate_limited", "overloaded"][len(seen) % 2], **{"retry-after": "7"})
        return httpx.post(f"{running.url}/v1/screenings", content=request.read(), headers=request.headers)

    with failing(handler, waits) as client:
        client.screen(GOOD)
    assert len(seen) == 4 and len(set(seen)) == 1
    assert 0.5 <= waits[0] <= 0.625
    assert all(7 <= wait <= 8.75 for wait in waits[1:])


@pytest.mark.parametrize(
    ("code", "error", "tries"),
    [
        ("unauthorized", Unauthorized, 1),
        ("invalid_request", InvalidRequest, 1),
        ("unsupported_media_type", InvalidRequest, 1),
        ("decoder_failed", DecoderFailed, 1),
        ("decoder_timeout", DecoderFailed, 1),
        ("internal", ServiceBroken, 1),
        ("rate_limited", RateLimited, 5),
        ("not_ready", Overloaded, 5),
    ],
)
def test_every_code_has_its_error(code: str, error: type[ServiceError], tries: int) -> None:
    calls: list[int] = []

    def handler(request: httpx.Request) -> httpx.Response:
        calls.append(1)
        return refusal(code)

    with failing(handler, []) as client, pytest.raises(error) as raised:
        client.screen(GOOD)
    assert raised.value.problem.code == code
    assert len(calls) == tries


def test_a_stranger_and_silence() -> None:
    waits: list[float] = []

    def proxy(request: httpx.Request) -> httpx.Response:
        return httpx.Response(502, text="<html>bad gateway</html>")

    def nobody(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    def future(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"schema_version": "9"})

    with failing(proxy, waits) as client, pytest.raises(Overloaded):
        client.models()
    assert len(waits) == 4
    with failing(nobody, waits) as client, pytest.raises(Unreachable):
        client.models()
    with failing(future, waits) as client, pytest.raises(ServiceBroken):
        client.models()


def test_a_wait_that_is_too_long_is_not_waited() -> None:
    waits: list[float] = []
    with (
        failing(lambda request: refusal("rate_limited", **{"retry-after": "3600"}), waits) as client,
        pytest.raises(RateLimited) as raised,
    ):
        client.screen(GOOD)
    assert raised.value.retry_after_s == 3600
    assert not waits
