"""Requests that clients do send, and that were refused or left no trace in the log."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from serving.settings import Settings
from tests.serving.conftest import Running
from tests.serving.conftest import client as client
from tests.serving.conftest import running as running
from tests.serving.test_limits import HEAD, answer, until
from tests.serving.test_logs import lines as lines
from tests.serving.test_screenings import GOOD, URL, assert_problem


@pytest.mark.parametrize("address", ["/healthz", "/readyz"])
def test_probes_may_ask_for_the_head_alone(client: httpx.Client, address: str) -> None:
    head = client.head(address)
    assert (head.status_code, head.content) == (200, b"")
    assert "head" not in client.get("/openapi.json").json()["paths"][address]


def test_metadata_with_a_type_of_its_own_comes_as_a_file(client: httpx.Client) -> None:
    """As ``curl -F metadata=@m.json`` and a browser's ``Blob`` send it."""
    said = b'{"age": 41, "symptoms": {"fever": true}}'
    files = [("file", GOOD), ("metadata", ("blob", said, "application/json"))]
    (condition,) = client.post(URL, files=files).json()["conditions"]
    assert set(condition["symptoms"]["contributions"]) == {"age", "fever"}
    for unreadable in (b"\xff", b"{}" + b" " * 20_000, b""):
        refused = client.post(URL, files=[("file", GOOD), ("metadata", ("blob", unreadable))])
        assert_problem(refused, 422, "invalid_request")


def test_no_symptoms_may_be_null(client: httpx.Client) -> None:
    """As serializers write what is not there; age and sex could be null before."""
    data = {"metadata": '{"age": 41, "sex": null, "symptoms": null}'}
    (condition,) = client.post(URL, files={"file": GOOD}, data=data).json()["conditions"]
    assert set(condition["symptoms"]["contributions"]) == {"age"}


@pytest.mark.parametrize("sent", [b"nonsense\r\n\r\n", HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"])
def test_what_is_no_http_has_its_id_in_the_log(running: Running, lines: list[str], sent: bytes) -> None:
    where = urlsplit(running.url)
    with socket.create_connection((where.hostname, where.port), timeout=20) as sock:
        sock.sendall(sent)
        head, _, body = answer(sock).partition(b"\r\n\r\n")
    assert f"content-length: {len(body)}".encode() in head
    # A request that had begun before its bytes made no sense has a line of its own: its client is gone.
    answered = json.loads(body)["request_id"]
    until(lambda: answered in [json.loads(line)["id"] for line in lines])


@pytest.mark.parametrize(
    "given",
    [
        "https://a.example,https://b.example",
        " https://a.example/ , https://b.example",
        '["https://a.example", "https://b.example/"]',
    ],
)
def test_origins_as_people_write_them(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anything but JSON was an error that named no setting; one with a slash at its end never matched."""
    monkeypatch.setenv("COUGH_CORS_ORIGINS", given)
    assert Settings(_env_file=None).cors_origins == ("https://a.example", "https://b.example")


def test_a_damaged_file_of_settings_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("workers = = 1")
    monkeypatch.setenv("COUGH_CONFIG", str(path))
    with pytest.raises(ValueError, match=r"mine\.toml: "):
        Settings(_env_file=None)


def test_what_would_change_the_answer_is_not_passed_over(client: httpx.Client) -> None:
    """A query, an encoding and a symptom said twice had no influence and nobody said so."""
    raw = {"Content-Type": "audio/mp4"}
    for address in (URL, URL.replace("screenings", "gate")):
        refused = client.post(f"{address}?prevalence=7", content=GOOD, headers=raw)
        assert_problem(refused, 422, "invalid_request")
        packed = client.post(address, content=GOOD, headers=raw | {"Content-Encoding": "gzip"})
        assert_problem(packed, 415, "unsupported_media_type")
        assert client.post(address, content=GOOD, headers=raw | {"Content-Encoding": "identity"}).is_success
    twice = {"metadata": '{"symptoms": {"fever": true, "fever": false}}'}
    refused = client.post(URL, files={"file": GOOD}, data=twice)
    assert_problem(refused, 422, "invalid_request")
    assert "fever: said twice" in refused.json()["detail"]
    deep = {"metadata": "[" * 16_000}
    assert_problem(client.post(URL, files={"file": GOOD}, data=deep), 422, "invalid_request")


def test_two_ways_to_say_where_a_body_ends_are_refused(running: Running) -> None:
    """Behind a proxy that believes the other one, the rest would be another request."""
    where = urlsplit(running.url)
    both = b"Content-Type: audio/mp4\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection((where.hostname, where.port), timeout=20) as sock:
        sock.sendall(HEAD + both + b"5\r\nabcde\r\n0\r\n\r\n")
        head, _, body = answer(sock).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400")
    assert json.loads(body)["code"] == "malformed_http"


def test_a_proxy_that_is_no_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody would be believed, and all callers behind it would share one rate."""
    monkeypatch.setenv("COUGH_TRUSTED_PROXIES", "10.0.0.0/8, ::1")
    assert Settings(_env_file=None).trusted_proxies
    monkeypatch.setenv("COUGH_TRUSTED_PROXIES", "10.0.0.0/8,abc")
    with pytest.raises(ValueError, match="abc"):
        Settings(_env_file=None)
