"""Unpack what a stranger packed: zip, tar and split archives, without trusting a byte of them.

Refused (``ArchiveUnsafe``): paths that are absolute or climb out, links and devices, two entries of one
path, more entries or bytes than a corpus can have. Bytes are counted as they are written, not as the
archive declares them. A folder appears under its name only once everything is in it.
"""

from __future__ import annotations

import io
import lzma
import os
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from cough import errors

CHUNK = 1 << 20
SKIPPED = frozenset({"__MACOSX", ".DS_Store", "Thumbs.db"})
_SPLIT_TAR = re.compile(r"^(?P<stem>.+?)\.tar(\.gz|\.bz2|\.xz)?\.aa$")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much may come out of an archive."""

    entries: int = 2_000_000
    bytes_at_least: int = 2 << 30
    """So much may always come out, however small the archive."""
    ratio: float = 40.0
    """Beyond that, so many times the archive's size; WAV of a quiet room packs to a twentieth."""


def unpack(archive: Path, folder: Path, *, limits: Limits | None = None) -> Path:
    """Unpack an archive, and split tar files found inside it, into ``folder``; nothing if it exists.

    Parameters
    ----------
    archive : ``.zip`` (with ``.z01`` and on beside it where it is split), ``.tar``, ``.tar.gz`` and the like

    Raises
    ------
    ArchiveUnsafe : see the module
    DownloadFailed : damaged, encrypted or of an unknown kind
    """
    if folder.exists():
        return folder
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a run that was killed
    try:
        partial.mkdir(parents=True)
        _unpack_one(archive, _parts(archive), partial, limits or Limits())
        for first in sorted(partial.rglob("*.aa")):
            if _SPLIT_TAR.match(first.name):
                _unpack_split_tar(first, partial / "Extracted_data", limits or Limits())
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _unpack_one(archive: Path, parts: list[Path], folder: Path, limits: Limits) -> None:
    sink = _Sink(folder, limits, sum(part.stat().st_size for part in parts))
    with _damage(archive):
        if archive.suffix == ".zip":
            _zip(parts, sink)
        else:
            with open(archive, "rb") as stream:
                _tar(stream, sink)


def _unpack_split_tar(first: Path, folder: Path, limits: Limits) -> None:
    """``NAME.tar.gz.aa``, ``.ab`` and on: joined, unpacked, removed."""
    parts = sorted(first.parent.glob(f"{_escaped(first.with_suffix('').name)}.[a-z][a-z]"))
    with _damage(first), io.BufferedReader(Joined(parts)) as stream:
        _tar(stream, _Sink(folder, limits, sum(part.stat().st_size for part in parts)))
    for part in parts:
        part.unlink()


@dataclass
class _Sink:
    """Where entries go; keeps count."""

    folder: Path
    limits: Limits
    packed_bytes: int
    written: int = 0
    entries: int = 0
    seen: set[str] = field(default_factory=set)

    def put(self, name: str, stream: IO[bytes] | None) -> None:
        """Write one regular file; None where the entry is a folder."""
        path = safe_path(name)
        self.entries += 1
        if self.entries > self.limits.entries:
            raise errors.ArchiveUnsafe(f"More than {self.limits.entries} entries.")
        if path is None or SKIPPED & set(path.parts):
            return
        target = self.folder / path
        if stream is None:
            self._folder(target)
            return
        # Some file systems do not tell case apart: there, one entry would replace another.
        if str(path).casefold() in self.seen or target.exists():
            raise errors.ArchiveUnsafe(f"{name!r} is there twice.")
        self.seen.add(str(path).casefold())
        self._folder(target.parent)
        most = max(self.limits.bytes_at_least, int(self.limits.ratio * self.packed_bytes))
        with open(target, "xb") as out:
            while chunk := stream.read(CHUNK):
                self.written += len(chunk)
                if self.written > most:
                    raise errors.ArchiveUnsafe(f"More than {most} bytes come out of it.")
                out.write(chunk)

    def _folder(self, path: Path) -> None:
        try:
            path.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise errors.ArchiveUnsafe(
                f"{path.relative_to(self.folder)} is both a file and a folder."
            ) from error


def safe_path(name: str) -> Path | None:
    """An entry's name as a path below the folder; None for the folder itself.

    Raises
    ------
    ArchiveUnsafe : absolute, with a drive, with ``..``, or with characters no file name should have
    """
    name = name.replace("\\", "/")
    path = PurePosixPath(name)
    if (
        path.is_absolute()
        or ".." in path.parts
        or re.match(r"^[A-Za-z]:", name)
        or any(ord(c) < 32 for c in name)
        or any(len(part.encode("utf-8", "surrogateescape")) > 255 for part in path.parts)
    ):
        raise errors.ArchiveUnsafe(f"{name!r} leads out of the folder.")
    return Path(*path.parts) if path.parts else None


def _zip(parts: list[Path], sink: _Sink) -> None:
    """A zip file; split ones are joined, and each entry found from the beginning of its own part."""
    begins = list(_begins(parts))
    with io.BufferedReader(Joined(parts)) as stream, zipfile.ZipFile(stream) as archive:
        for entry in archive.infolist():
            if stat.S_ISLNK(entry.external_attr >> 16):
                raise errors.ArchiveUnsafe(f"{entry.filename!r} is a link.")
            if entry.flag_bits & 1:
                raise errors.DownloadFailed(f"{entry.filename!r} is encrypted.")
            if len(parts) > 1:
                # zipfile takes offsets to count from the part that holds the directory, the last.
                entry.header_offset += begins[entry.volume] - begins[-1]
                if hasattr(entry, "_end_offset"):
                    entry._end_offset = None  # computed from the offsets before they were mended
            if entry.is_dir():
                sink.put(entry.filename, None)
            else:
                with archive.open(entry) as content:
                    sink.put(entry.filename, content)


def _tar(stream: IO[bytes], sink: _Sink) -> None:
    with tarfile.open(fileobj=stream, mode="r|*") as archive:
        for entry in archive:
            if entry.isdir():
                sink.put(entry.name, None)
            elif entry.isreg():
                sink.put(entry.name, archive.extractfile(entry))
            else:
                raise errors.ArchiveUnsafe(
                    f"{entry.name!r} is neither a file nor a folder, but a link or so."
                )


def _parts(archive: Path) -> list[Path]:
    """The files of a zip: ``.z01``, ``.z02`` ... beside it, itself last.

    Raises
    ------
    DownloadFailed : one in between is missing
    """
    if archive.suffix != ".zip":
        return [archive]
    found = sorted(
        (part for part in archive.parent.glob(f"{_escaped(archive.stem)}.z[0-9]*")),
        key=lambda part: int(part.suffix[2:]),
    )
    for number, part in enumerate(found, start=1):
        if int(part.suffix[2:]) != number:
            raise errors.DownloadFailed(f"{archive.stem}.z{number:02d} is missing.")
    return [*found, archive]


def _begins(parts: list[Path]) -> Iterator[int]:
    """Where each part begins when they are joined."""
    at = 0
    for part in parts:
        yield at
        at += part.stat().st_size


class Joined(io.RawIOBase):
    """Files end to end as one, for reading."""

    def __init__(self, parts: list[Path]) -> None:
        self._parts = parts
        self._begins = list(_begins(parts))
        self._size = self._begins[-1] + parts[-1].stat().st_size
        self._at = 0
        self._open: tuple[int, IO[bytes]] | None = None

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As files do."""
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        """As files do."""
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Up to the end of the part that is being read."""
        if self._at >= self._size:
            return 0
        index = bisect_right(self._begins, self._at) - 1
        if self._open is None or self._open[0] != index:
            self.close_part()
            self._open = index, open(self._parts[index], "rb")  # noqa: SIM115
        self._open[1].seek(self._at - self._begins[index])
        data = self._open[1].read(len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close_part(self) -> None:
        """Close the part that is open."""
        if self._open is not None:
            self._open[1].close()
            self._open = None

    def close(self) -> None:
        """Close everything."""
        self.close_part()
        super().close()


@contextmanager
def _damage(archive: Path) -> Iterator[None]:
    """Errors of the archive's format as one of ours; those of the disk stay what they are."""
    try:
        yield
    except zipfile.BadZipFile as error:
        why = f"is damaged: {error}"
        if "multiple disks" in str(error):
            why = "is a split zip of more than 65,535 files; unpack it with 7-Zip"
        raise errors.DownloadFailed(f"{archive.name} {why}.") from error
    except (
        tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, NotImplementedError,
        ValueError, IndexError, TypeError,  # what zipfile and tarfile trip over in damaged tables
    ) as error:  # fmt: skip
        raise errors.DownloadFailed(f"{archive.name} is damaged: {error}") from error
    except OSError as error:
        if error.errno is None:  # gzip and bz2 say so of damaged data
            raise errors.DownloadFailed(f"{archive.name} is damaged: {error}") from error
        raise


def _escaped(name: str) -> str:
    """A file name for ``Path.glob``."""
    return re.sub(r"([*?[])", r"[\1]", name)
