"""``Idempotency-Key``: a retry gets the first answer, and a key stands for one request."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import httpx
import pytest

from serving.idempotency import Idempotency
from serving.problems import Refused
from tests.serving.conftest import Running, quiet, serve
from tests.serving.test_screenings import GOOD, NOISE, URL, assert_problem


def post(client: httpx.Client, key: str, data: bytes = GOOD) -> httpx.Response:
    return client.post(URL, files={"file": data}, headers={"Idempotency-Key": key})


def test_a_retry_gets_the_first_answer(client: httpx.Client) -> None:
    first, second = post(client, "retry"), post(client, "retry")
    assert first.content == second.content  # timings included: it was not measured again
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert first.headers["x-request-id"] != second.headers["x-request-id"]


def test_another_request_under_the_same_key_is_refused(client: httpx.Client) -> None:
    post(client, "mismatch")
    assert_problem(post(client, "mismatch", NOISE), 422, "idempotency_mismatch")


def test_a_problem_frees_the_key(client: httpx.Client) -> None:
    assert_problem(post(client, "freed", b"no audio"), 415, "not_audio")
    assert post(client, "freed").status_code == 200


@pytest.mark.parametrize("bad", ["", "a b", "k" * 256])
def test_a_malformed_key_is_refused(client: httpx.Client, bad: str) -> None:
    assert_problem(post(client, bad), 422, "invalid_request")


@pytest.fixture
def brief() -> Iterator[Running]:
    with serve(quiet(idempotency_s=0.2)) as running:
        yield running


def test_answers_expire(brief: Running) -> None:
    with httpx.Client(base_url=brief.url, timeout=120) as client:
        post(client, "brief")
        asyncio.run(asyncio.sleep(0.3))
        assert "idempotency-replayed" not in post(client, "brief").headers


def make(max_entries: int = 10) -> Idempotency:
    return Idempotency(kept_s=60, claim_s=60, max_entries=max_entries)


def test_a_request_under_way_is_not_begun_twice() -> None:
    async def scenario() -> None:
        answers = make()
        begun, finish = asyncio.Event(), asyncio.Event()

        async def slow() -> str:
            begun.set()
            await finish.wait()
            return "answer"

        first = asyncio.create_task(answers.once("me", "k", "f", slow))
        await begun.wait()
        with pytest.raises(Refused) as refused:
            await answers.once("me", "k", "f", slow)
        assert refused.value.code == "idempotency_in_progress"
        assert refused.value.headers == {"Retry-After": "1"}
        finish.set()
        assert await first == ("answer", False)
        assert await answers.once("me", "k", "f", slow) == ("answer", True)

    asyncio.run(scenario())


def test_callers_do_not_share_keys_and_memory_is_bounded() -> None:
    async def scenario() -> None:
        answers = make(max_entries=2)

        async def answer() -> str:
            return "answer"

        assert await answers.once("me", "k", "f", answer) == ("answer", False)
        assert await answers.once("you", "k", "other", answer) == ("answer", False)
        assert await answers.once("me", "k", "f", answer) == ("answer", True)
        await answers.once("me", "k2", "f", answer)
        assert await answers.once("me", "k", "f", answer) == ("answer", False)  # the oldest has gone

    asyncio.run(scenario())
