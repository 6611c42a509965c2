"""One message on a pipe: a small JSON object and a body of bytes, each after its length.

No pickle: a worker that a hostile recording has taken over can send bytes, not objects.
"""

from __future__ import annotations

import asyncio
import json
import os
import struct
from typing import Any, NamedTuple

_LENGTHS = struct.Struct(">II")
_MAX_HEAD_BYTES = 1 << 20
_MAX_BODY_BYTES = 1 << 30


class Frame(NamedTuple):
    """What goes either way between the service and a worker."""

    head: dict[str, Any]
    body: bytes = b""


class BrokenFrame(Exception):
    """The other side ended within a frame, or sent what is none."""


def encode(frame: Frame) -> list[bytes]:
    """The pieces to write, in order; the body is not copied."""
    head = json.dumps(frame.head).encode()
    return [_LENGTHS.pack(len(head), len(frame.body)) + head, frame.body]


def read(descriptor: int) -> Frame | None:
    """The next frame, blocking; None when the other side is gone."""
    prefix = _read_exactly(descriptor, _LENGTHS.size)
    if prefix is None:
        return None
    n_head, n_body = _checked(prefix)
    head, body = _read_exactly(descriptor, n_head), _read_exactly(descriptor, n_body)
    return None if head is None or body is None else Frame(_parsed(head), body)


def write(descriptor: int, frame: Frame) -> None:
    """Write a frame, blocking."""
    for piece in encode(frame):
        view = memoryview(piece)
        while view:
            view = view[os.write(descriptor, view) :]


async def receive(stream: asyncio.StreamReader) -> Frame:
    """The next frame.

    Raises
    ------
    BrokenFrame : the other side is gone, or sent what is no frame
    """
    try:
        n_head, n_body = _checked(await stream.readexactly(_LENGTHS.size))
        head = await stream.readexactly(n_head)
        return Frame(_parsed(head), await stream.readexactly(n_body))
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        raise BrokenFrame("the other side is gone") from error


def _read_exactly(descriptor: int, n: int) -> bytes | None:
    pieces = []
    while n:
        piece = os.read(descriptor, min(n, 1 << 20))
        if not piece:
            return None
        pieces.append(piece)
        n -= len(piece)
    return b"".join(pieces)


def _checked(prefix: bytes) -> tuple[int, int]:
    n_head, n_body = _LENGTHS.unpack(prefix)
    if n_head > _MAX_HEAD_BYTES or n_body > _MAX_BODY_BYTES:
        raise BrokenFrame("no frame is that long")
    return n_head, n_body


def _parsed(head: bytes) -> dict[str, Any]:
    try:
        table = json.loads(head)
    except ValueError as error:
        raise BrokenFrame("the head is not JSON") from error
    if not isinstance(table, dict):
        raise BrokenFrame("the head is not an object")
    return table
