"""One JSON line a request, and what is never in it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import httpx
import pytest

from serving.logs import JsonLines
from tests.serving.test_limits import until
from tests.serving.test_screenings import GOOD, URL

SECRETS = ("ada-lovelace", "Bearer", "my-secret-key", "fever", "0.0421", "form-data", "127.0.0.1", "retry-me")


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What goes to standard error, as lines."""
    written: list[str] = []

    class Catch(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            written.append(self.format(record))

    logger, handler = logging.getLogger("cough.serving"), Catch()
    handler.setFormatter(JsonLines())
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel("DEBUG")
    yield written
    logger.setLevel(level)
    logger.removeHandler(handler)


def test_one_line_a_request_without_anything_of_the_person(client: httpx.Client, lines: list[str]) -> None:
    response = client.post(
        f"{URL}?name=ada-lovelace",
        files={"file": ("ada-lovelace.m4a", GOOD, "audio/ada-lovelace")},
        data={"metadata": '{"symptoms": {"fever": true}}', "prevalence": "0.0421"},
        headers={
            "Authorization": "Bearer my-secret-key",
            "Idempotency-Key": "retry-me",
            "X-Request-ID": "the-id",
            "User-Agent": "ada-lovelace",
        },
    )
    assert response.status_code == 200
    until(lambda: lines)  # the line is written once the answer is out
    (line,) = lines
    fields = json.loads(line)
    assert fields["event"] == "request" and fields["id"] == "the-id"
    assert (fields["method"], fields["route"], fields["status"]) == ("POST", URL, 200)
    assert fields["bytes"] > len(GOOD) and 0 < fields["seconds"] < 60
    assert fields["outcomes"] == [response.json()["outcome"]]
    assert fields["timings_ms"] == [response.json()["timings_ms"]]
    assert not [secret for secret in SECRETS if secret in line]


def test_refusals_and_unknown_addresses_are_logged_without_their_path(
    client: httpx.Client, lines: list[str]
) -> None:
    client.post(URL, files={"file": ("ada-lovelace", b"no audio")})
    client.get("/ada-lovelace/results")
    client.post(URL, files={"file": GOOD}, data={"ada-lovelace": "x"})
    until(lambda: len(lines) == 3)
    refused, unknown, invalid = map(json.loads, lines)
    assert (refused["status"], refused["code"]) == (415, "not_audio")
    assert (unknown["status"], unknown["route"]) == (404, "other")
    assert (invalid["status"], invalid["code"]) == (422, "invalid_request")
    assert "ada-lovelace" not in "".join(lines)


def test_an_error_is_logged_by_its_place_not_its_message() -> None:
    try:
        raise ValueError("ada-lovelace")
    except ValueError:
        import sys

        record = logging.LogRecord("x", logging.ERROR, __file__, 1, "unforeseen", (), sys.exc_info())
    fields = json.loads(JsonLines().format(record))
    assert fields["error"] == "ValueError"
    assert fields["where"][0].startswith("test_logs.py:")
    assert "ada-lovelace" not in str(fields)
