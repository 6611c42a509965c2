"""API keys: made, asked for, rotated; and that a public address is refused without them."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from typer.testing import CliRunner

from cough.cli import app
from serving.keys import Keys, KeysUnusable, add, line_for, make, read
from serving.run import Exposed, build_server
from tests.serving.conftest import quiet, serve
from tests.serving.test_screenings import GOOD, URL, assert_problem


class Guarded(NamedTuple):
    client: httpx.Client
    file: Path
    key: str

    def ask(self, authorization: str | None) -> httpx.Response:
        """A gate request, cheap and counted, with this Authorization header."""
        headers = {} if authorization is None else {"Authorization": authorization}
        return self.client.post(URL, files={"file": b"no audio"}, headers=headers)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """A service with one key that may ask five times a minute."""
    file = tmp_path_factory.mktemp("keys") / "keys.txt"
    key = add(file, "first")
    with serve(quiet(keys=file, rate="5/minute")) as running:
        client = httpx.Client(base_url=running.url, timeout=120)
        with client:
            yield Guarded(client, file, key)


def test_only_keys_are_admitted(guarded: Guarded) -> None:
    for wrong in (None, "", "Bearer", f"Basic {guarded.key}", "Bearer wrong", f"Bearer {guarded.key}x"):
        refused = guarded.ask(wrong)
        assert_problem(refused, 401, "unauthorized")
        assert refused.headers["www-authenticate"] == "Bearer"
    assert_problem(guarded.client.get("/v1/models"), 401, "unauthorized")
    assert_problem(guarded.ask(f"Bearer {guarded.key}"), 415, "not_audio")


def test_what_needs_no_key(guarded: Guarded) -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/v1/reasons", "/docs", "/openapi.json"):
        assert guarded.client.get(path).status_code == 200


def test_the_wrong_key_is_refused_before_the_body_is_read(guarded: Guarded) -> None:
    refused = guarded.client.post(URL, content=bytes(30_000_000), headers={"content-type": "audio/wav"})
    assert_problem(refused, 413, "too_large")
    refused = guarded.client.post(URL, content=bytes(900_000), headers={"content-type": "audio/wav"})
    assert_problem(refused, 401, "unauthorized")


def test_keys_are_rotated_without_a_restart_and_each_has_its_own_rate(guarded: Guarded) -> None:
    new = add(guarded.file, "second")
    assert_problem(guarded.ask(f"Bearer {new}"), 415, "not_audio")
    kept = [line for line in guarded.file.read_text().splitlines() if not line.startswith("first ")]
    guarded.file.write_text("\n".join(["# the first app has gone", *kept, ""]))
    assert_problem(guarded.ask(f"Bearer {guarded.key}"), 401, "unauthorized")
    answers = [guarded.ask(f"Bearer {new}") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [415] * 4 + [429]
    assert_problem(answers[-1], 429, "rate_limited")
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
    third = add(guarded.file, "third")
    assert_problem(guarded.ask(f"Bearer {third}"), 415, "not_audio")
    assert_problem(guarded.ask(f"Bearer {new}"), 429, "rate_limited")
    guarded.file.unlink()
    assert_problem(guarded.ask(f"Bearer {third}"), 401, "unauthorized")


def test_a_damaged_line_admits_nobody_and_harms_no_other(tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    good, gone = add(file, "good"), add(file, "gone")
    keys = Keys(file)
    assert keys.name_of(good) == "good" and keys.name_of(gone) == "gone"
    file.write_text(f"{line_for('good', good)}\ngone  sha256:oops  # half an edit\n")
    assert keys.name_of(good) == "good"
    assert keys.name_of(gone) is None
    assert read(file)[1] == [2]


@pytest.mark.parametrize("text", ["", "# none\n", "name plain-text-key\n", "a b sha256:" + "0" * 64])
def test_a_bad_file_is_refused_at_the_start(tmp_path: Path, text: str) -> None:
    file = tmp_path / "keys.txt"
    file.write_text(text)
    with pytest.raises(KeysUnusable):
        Keys(file)
    with pytest.raises(KeysUnusable):
        Keys(tmp_path / "absent")


def test_the_command_shows_a_key_once_and_stores_its_hash(tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    done = CliRunner().invoke(app, ["keys", "new", "clinic-app", "--file", str(file)])
    assert done.exit_code == 0
    key = done.stdout.strip()
    assert len(key) > 40 and key not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert Keys(file).name_of(key) == "clinic-app"
    again = CliRunner().invoke(app, ["keys", "new", "clinic-app", "--file", str(file)])
    assert again.exit_code == 2
    bad = CliRunner().invoke(app, ["keys", "new", "two words", "--file", str(file)])
    assert bad.exit_code == 2
    assert make() != make()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
def test_a_public_address_without_keys_is_refused(host: str, tmp_path: Path) -> None:
    with pytest.raises(Exposed):
        build_server(quiet(host=host))
    build_server(quiet(host=host, allow_no_keys=True))
    file = tmp_path / "keys.txt"
    add(file, "app")
    build_server(quiet(host=host, keys=file))


def test_keys_can_be_optional(tmp_path: Path) -> None:
    """For a public page beside an app: without a key by address, with one by name; a wrong one is told."""
    file = tmp_path / "keys.txt"
    key = add(file, "app")
    with serve(quiet(keys=file, allow_no_keys=True, rate="1/minute")) as running:
        guarded = Guarded(httpx.Client(base_url=running.url, timeout=120), file, key)
        with guarded.client:
            assert guarded.client.post(URL, files={"file": GOOD}).status_code == 200
            assert_problem(guarded.ask(None), 429, "rate_limited")
            assert_problem(guarded.ask(f"Bearer {key}"), 415, "not_audio")
            assert_problem(guarded.ask("Bearer wrong"), 401, "unauthorized")
