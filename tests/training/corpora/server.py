"""A file server that misbehaves as asked, on this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Mood:
    """What the server has and how it serves it; tests change it between requests."""

    content: bytes
    url: str = ""
    etag: str | None = '"one"'
    ranges: bool = True
    length: bool = True
    kind: str = "application/zip"
    breaks: list[int] = field(default_factory=list)
    """Bytes after which to cut each of the next connections."""
    answers: list[int] = field(default_factory=list)
    """Status codes of the next answers instead."""
    md5: str | None = None
    """Of the file in Zenodo's record; None: no such record."""
    asked: list[str | None] = field(default_factory=list)
    """The Range of every request for the file."""


class _Handler(BaseHTTPRequestHandler):
    mood: Mood

    def do_GET(self) -> None:
        mood = self.mood
        if self.path.startswith("/api/records/"):
            self._record()
            return
        mood.asked.append(self.headers.get("Range"))
        if mood.answers:
            self.send_response(mood.answers.pop(0))
            self.send_header("Retry-After", "1")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        begin = 0
        wanted = self.headers.get("Range")
        if wanted and mood.ranges and self.headers.get("If-Range") in (None, mood.etag):
            begin = int(wanted.removeprefix("bytes=").rstrip("-"))
            if begin >= len(mood.content):
                self.send_response(416)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{len(mood.content) - 1}/{len(mood.content)}")
        else:
            self.send_response(200)
        body = mood.content[begin:]
        if mood.etag:
            self.send_header("ETag", mood.etag)
        self.send_header("Content-Type", mood.kind)
        if mood.length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        cut = mood.breaks.pop(0) if mood.breaks else len(body)
        self.wfile.write(body[:cut])
        self.wfile.flush()
        self.close_connection = True

    def _record(self) -> None:
        files = [{"key": "a.zip", "size": len(self.mood.content), "checksum": f"md5:{self.mood.md5}"}]
        body = json.dumps({"files": files}).encode()
        self.send_response(200 if self.mood.md5 else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Quiet."""


@contextmanager
def serving(content: bytes) -> Iterator[Mood]:
    """Serve ``content`` under every path of ``mood.url``."""
    mood = Mood(content)
    handler = type("Handler", (_Handler,), {"mood": mood})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        mood.url = f"http://127.0.0.1:{server.server_port}"
        yield mood
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
