"""``POST /v1/gate``: the gate alone."""

from __future__ import annotations

import httpx
import pytest

from cough.screener import Screener
from cough.wire import GateAnswer
from tests.serving.test_screenings import GOOD, NOISE, assert_problem

URL = "/v1/gate"


@pytest.mark.parametrize("data", [GOOD, NOISE], ids=["cough", "noise"])
def test_says_what_a_screening_would(client: httpx.Client, screener: Screener, data: bytes) -> None:
    answer = GateAnswer.model_validate(client.post(URL, files={"file": data}).json())
    whole = screener.screen(data)
    assert answer.usable == (whole.outcome != "rerecord")
    for name in ("cough_score", "events", "quality", "reasons", "model"):
        assert getattr(answer, name) == getattr(whole, name)
    assert "conditions" not in answer.model_dump()


def test_takes_one_recording_and_nothing_else(client: httpx.Client) -> None:
    assert client.post(URL, content=GOOD, headers={"content-type": "audio/mp4"}).status_code == 200
    assert_problem(client.post(URL, files=[("file", GOOD), ("file", GOOD)]), 422, "invalid_request")
    refused = client.post(URL, files={"file": GOOD}, data={"prevalence": "0.1"})
    assert_problem(refused, 422, "invalid_request")
    assert_problem(client.post(URL, files={"file": b"text"}), 415, "not_audio")
