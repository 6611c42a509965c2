"""What a file is, by its first bytes, and whether all of it is there, by its own length fields.

FFmpeg answers neither as needed: left to guess, it also tries playlist formats that open other
files and addresses; and it takes a wav or mp4 that breaks off for a shorter one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from cough import errors

_MAX_BOXES = 10_000
"""Boxes looked at; a file with more is left to FFmpeg."""
_UNKNOWN = (1 << 31, 1 << 32, 1 << 63)
"""Or 0: sizes left by writers that cannot seek back (sox, ffmpeg, Android), but for a header or a block."""
_SLACK_BYTES = 4_096
"""Writers miscount by a header or a block; less than this is no truncation."""
_SLACK_SHARE = 0.02

_SIGNATURES = {
    b"RIFF": "riff",
    b"RIFX": "riff",
    b"RF64": "riff",
    b"riff": "w64",
    b"FORM": "form",
    b"fLaC": "flac",
    b"OggS": "ogg",
    b"\x1aE\xdf\xa3": "matroska",
    b"caff": "caf",
    b"#!AM": "amr",
    b".snd": "au",
    b"FLV\x01": "flv",
    b"0&\xb2u": "asf",
}
_MOV_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
_MOV_PARENTS = (b"moov", b"trak", b"mdia", b"minf", b"stbl")


def sniff(handle: BinaryIO) -> str:
    """FFmpeg's demuxer for a file; leaves the handle at 0.

    Raises
    ------
    NotAudio : no format that we read
    """
    handle.seek(0)
    head = handle.read(16)
    kind = _SIGNATURES.get(head[:4])
    if kind == "riff":
        kind = {b"WAVE": "wav", b"AVI ": "avi"}.get(head[8:12])
    elif kind == "form":
        kind = {b"AIFF": "aiff", b"AIFC": "aiff"}.get(head[8:12])
    elif kind is None and head[4:8] in _MOV_BOXES:
        kind = "mov"
    elif kind is None:
        kind = _mpeg_or_tagged(handle, head)
    handle.seek(0)
    if kind is None:
        raise errors.NotAudio("The file is not a recording in any known format.")
    return kind


def is_cut(handle: BinaryIO, kind: str, size_bytes: int) -> bool:
    """Whether the file's own length fields claim sound past its end.

    Only wav, w64, aiff, caf and the mp4 family can tell; for others the answer is False.
    """
    if kind in ("wav", "w64", "aiff"):
        data = _sound(handle, kind, size_bytes)
        return data is None or (not _is_placeholder(data.length) and _past_end(data, size_bytes))
    if kind == "caf":
        boxes = _boxes(handle, 8, size_bytes, kind="caf")
        return any(box.name == b"data" and _past_end(box, size_bytes) for box in boxes)
    if kind == "mov":
        names = set()
        for box in _boxes(handle, 0, size_bytes, kind="mov"):
            names.add(box.name)
            if box.name in (b"mdat", b"moov", b"moof") and box.end > size_bytes:
                return True
        # A recorder that was killed has written sound but not yet the index.
        return b"moov" not in names and b"moof" not in names
    return False


def has_unknown_length(handle: BinaryIO, kind: str, size_bytes: int) -> bool:
    """Whether a wav or aiff was streamed out, so that its length fields are placeholders."""
    if kind not in ("wav", "aiff"):
        return False
    data = _sound(handle, kind, size_bytes)
    return data is not None and _is_placeholder(data.length)


def check_index(handle: BinaryIO, kind: str, size_bytes: int) -> None:
    """Refuse an mp4 whose sample table claims more samples than the file has bytes.

    FFmpeg builds the whole index while opening: 500 bytes could ask for gigabytes.

    Raises
    ------
    Corrupt
    """
    if kind != "mov":
        return
    for box in _boxes(handle, 0, size_bytes, kind="mov", nested=True):
        if box.name in (b"stsz", b"stz2"):
            handle.seek(box.begin + 16)
            count = handle.read(4)
            if len(count) == 4 and struct.unpack(">I", count)[0] > size_bytes:
                raise errors.Corrupt("The recording's index claims more sound than the file can hold.")
    handle.seek(0)


class _Box(NamedTuple):
    name: bytes
    begin: int
    length: int
    """Whole box or, for riff, of the content; 0 means to the end of the file."""

    @property
    def end(self) -> int:
        return self.begin + self.length


def _boxes(handle: BinaryIO, begin: int, end: int, *, kind: str, nested: bool = False) -> Iterator[_Box]:
    """Boxes of a caf or mp4, in order; with ``nested``, those on the way to the sample tables too."""
    stack = [(begin, end)]
    for _ in range(_MAX_BOXES):
        while stack and stack[-1][0] + 8 > stack[-1][1]:
            stack.pop()
        if not stack:
            return
        position, limit = stack.pop()
        handle.seek(position)
        head = handle.read(16)
        if len(head) < 8:
            return
        if kind == "caf":
            if len(head) < 12:
                return
            length = struct.unpack(">q", head[4:12])[0]
            box = _Box(head[:4], position, length + 12 if length >= 0 else 0)
        else:
            length, header = struct.unpack(">I", head[:4])[0], 8
            if length == 1 and len(head) == 16:
                length, header = struct.unpack(">Q", head[8:16])[0], 16
            box = _Box(head[4:8], position, length)
        yield box
        end = box.end if box.length else limit
        if end < position + 8:
            continue
        stack.append((end, limit))
        if nested and box.name in _MOV_PARENTS:
            stack.append((position + header, min(end, limit)))


def _sound(handle: BinaryIO, kind: str, size_bytes: int) -> _Box | None:
    """The chunk that holds the samples of a wav, w64 or aiff; None where there is none."""
    if kind == "w64":
        return _w64_sound(handle, size_bytes)
    handle.seek(0)
    magic = handle.read(4)
    order = "<I" if magic in (b"RIFF", b"RF64") else ">I"
    position, large = 12, None
    for _ in range(_MAX_BOXES):
        if position + 8 > size_bytes:
            return None
        handle.seek(position)
        name, length = handle.read(4), struct.unpack(order, handle.read(4))[0]
        if magic == b"RF64" and name == b"ds64":  # EBU Tech 3306: sizes of the whole and of the samples
            sizes = handle.read(16)
            large = struct.unpack("<Q", sizes[8:])[0] if len(sizes) == 16 else None
        if name in (b"data", b"SSND"):
            return _Box(name, position + 8, length if large is None or length < 0xFFFF_FFFF else large)
        position += 8 + length + (length & 1)
    return None


def _w64_sound(handle: BinaryIO, size_bytes: int) -> _Box | None:
    """Sony Wave64: chunks have names of 16 bytes and sizes of 8 that count both, and begin at 8 bytes."""
    position = 40
    for _ in range(_MAX_BOXES):
        if position + 24 > size_bytes:
            return None
        handle.seek(position)
        name, length = handle.read(16)[:4], struct.unpack("<Q", handle.read(8))[0]
        if name == b"data":
            return _Box(name, position + 24, max(0, length - 24))
        position += max(24, length + 7 & ~7)
    return None


def _is_placeholder(length: int) -> bool:
    return length == 0 or any(abs(length - size) <= _SLACK_BYTES for size in _UNKNOWN)


def _past_end(box: _Box, size_bytes: int) -> bool:
    return box.end - size_bytes > max(_SLACK_BYTES, _SLACK_SHARE * box.length)


def _mpeg_or_tagged(handle: BinaryIO, head: bytes) -> str | None:
    """mp3 or raw AAC, perhaps behind an ID3 tag (which some taggers put before FLAC too)."""
    start = 0
    if head[:3] == b"ID3" and len(head) >= 10:
        start = 10 + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9])
    handle.seek(start)
    window = handle.read(8_192)
    if start and not window:
        raise errors.Truncated("The file ends inside its tag.")
    if window[:4] == b"fLaC":
        return "flac"
    if _adts_length(window, 0):
        follow = _adts_length(window, 0)
        return "aac" if follow + 2 > len(window) or _adts_length(window, follow) else None
    # Rips of radio streams start in the middle of a frame, some recorders with zeros.
    for position in range(len(window) - 3):
        length = _mp3_length(window, position)
        if length and position + length + 4 > len(window):
            # Nothing follows to confirm it: believed of a short mp3, not of any two bytes like it.
            return "mp3" if position == 0 and window[1] >> 1 & 3 == 1 else None
        if length and _mp3_length(window, position + length):
            return "mp3"
    return "mp3" if start else None


_MP3_KBPS = {
    (3, 3): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (3, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (3, 1): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 3): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 1): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""By (MPEG version bits, layer bits), ISO 11172-3 and 13818-3; versions 2 and 2.5 share a table."""


def _mp3_length(data: bytes, at: int) -> int:
    """Bytes of the MPEG audio frame that starts at ``at``; 0 where none does."""
    if at + 4 > len(data) or data[at] != 0xFF or data[at + 1] & 0xE0 != 0xE0:
        return 0
    version, layer = data[at + 1] >> 3 & 3, data[at + 1] >> 1 & 3
    rate_index, bitrate_index = data[at + 2] >> 2 & 3, data[at + 2] >> 4
    if version == 1 or layer == 0 or rate_index == 3 or bitrate_index in (0, 15):
        return 0
    table = _MP3_KBPS[(3 if version == 3 else 2, layer if version == 3 or layer == 3 else 1)]
    bits_per_second = table[bitrate_index] * 1_000
    rate_hz = (44_100, 48_000, 32_000)[rate_index] // {3: 1, 2: 2, 0: 4}[version]
    padding = data[at + 2] >> 1 & 1
    if layer == 3:
        return (12 * bits_per_second // rate_hz + padding) * 4
    samples = 576 if layer == 1 and version != 3 else 1_152
    return samples // 8 * bits_per_second // rate_hz + padding


def _adts_length(data: bytes, at: int) -> int:
    """Bytes of the ADTS frame that starts at ``at``; 0 where none does."""
    if at + 6 > len(data) or data[at] != 0xFF or data[at + 1] & 0xF6 != 0xF0:
        return 0
    length = (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
    return length if length >= 7 else 0
