"""Whatever a store or its driver answered was "no such file", or a traceback."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cough import errors, store
from cough.manifest import Manifest
from cough.predictions import fetch

fsspec = pytest.importorskip("fsspec")


class _Answers(BaseHTTPRequestHandler):
    """The status is the name of the file."""

    def do_GET(self) -> None:
        self.send_response(int(self.path.rsplit("/", 1)[-1].split(".")[0]))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, *arguments: object) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[str]:
    pytest.importorskip("aiohttp", reason="fsspec opens http by it")
    answering = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    answering.daemon_threads = True
    thread = threading.Thread(target=answering.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{answering.server_port}"
    answering.shutdown()
    answering.server_close()
    thread.join()


def test_missing_is_only_what_the_store_calls_so(server: str) -> None:
    with pytest.raises(errors.FileMissing):
        fetch(f"{server}/404.wav")
    for refused in (f"{server}/403.wav", f"{server}/500.wav", "http://127.0.0.1:9/x.wav"):
        with pytest.raises(errors.FileUnreadable, match="does not give"):
            fetch(refused)


def test_a_manifest_says_what_its_store_says() -> None:
    with pytest.raises(errors.ManifestMissing, match="does not give"):
        Manifest.open("http://127.0.0.1:9/corpus")
    with pytest.raises(errors.ManifestMissing, match=r"no recordings\.csv"):
        Manifest.open("memory://nothing-here")


class _NoCredentials(Exception):
    """As botocore's: of no type that anybody could expect."""


def test_a_drivers_own_error_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise _NoCredentials("Unable to locate credentials")

    monkeypatch.setattr(fsspec, "open", refuse)
    with pytest.raises(errors.FileUnreadable, match="NoCredentials: Unable to locate credentials"):
        fetch("s3://bucket/a.wav")
    with pytest.raises(errors.ManifestMissing, match="credentials"):
        Manifest.open("s3://bucket/corpus")


def test_what_a_reader_raises_stays_what_it_is(tmp_path: Path) -> None:
    fsspec.filesystem("memory").pipe("/held/a.bin", b"abc")
    with store.opened("memory://held/a.bin") as file:
        assert file.read() == b"abc"
    with pytest.raises(errors.EmptyInput), store.opened("memory://held/a.bin"):
        raise errors.EmptyInput("of the reader")
