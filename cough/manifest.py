"""A manifest: facts about recordings, apart from what is claimed about them.

The form is that of every prepared corpus (``data_manifests/README.md``): a folder with
``recordings.csv`` and the audio that it names, or that csv itself. A folder of audio without a csv is
a manifest without labels. Rows are read one by one and not held: a million of them cost little memory.
Only what a store lists of a folder is held as a whole.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
from array import array
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cough import errors, store
from cough.words import is_yes, said

FILE = "recordings.csv"
UNKNOWN = "unknown"
"""The subject of a recording where nobody knows who stands behind it."""
SUFFIXES = frozenset({
    ".wav", ".w64", ".flac", ".ogg", ".opus", ".oga", ".webm", ".weba", ".mka", ".mkv", ".mp3", ".mp2",
    ".mpga", ".mpeg", ".m4a", ".m4b", ".mp4", ".mov", ".3gp", ".3gpp", ".3g2", ".amr", ".awb", ".caf",
    ".aiff", ".aif", ".aifc", ".aac", ".au", ".wma", ".asf", ".avi", ".flv",
})  # fmt: skip
"""What a folder without a csv is searched for: all that ``decode`` reads. WhatsApp calls an mp3 ``.mpeg``."""
SURPLUS = "\0surplus"
LABELS = {
    "event": ("event", None, None),
    "covid19": ("covid_status", "covid_evidence", "label_conflict"),
}
"""Label name -> columns of its value, its evidence and its conflict."""


class Recording(BaseModel):
    """Facts about one file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recording_id: str = Field(min_length=1)
    path: str = Field(min_length=1)
    """Below the manifest's folder, absolute, or a URL that fsspec opens."""
    duration_s: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    source: str = ""
    channel: str = ""
    subject_id: str = UNKNOWN
    """Everything that must stay on one side of a split: ``group_id`` where nobody knows who is heard."""
    split: str = ""
    licence: str = ""
    licence_class: str = ""
    pcm_sha256: str | None = None
    """Of the decoded 16 kHz float32 samples."""


class Label(BaseModel):
    """What somebody claims about a recording."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recording_id: str
    name: str
    value: str
    evidence: str = ""
    conflict: bool = False


@dataclass(frozen=True)
class Row:
    """One line of a manifest."""

    recording: Recording
    labels: tuple[Label, ...]
    columns: dict[str, str]
    """Every column as it stands."""


@dataclass(frozen=True)
class Manifest:
    """Where rows are; nothing is read before it is asked for."""

    root: Path
    csv_path: Path | None
    """None for a folder of audio."""
    url: str | None = None
    """Of the folder in an object store, instead of ``root``; ``csv_path`` is then below it."""

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Manifest:
        """A folder with ``recordings.csv``, a csv, or a folder of audio; or a URL of one of them.

        Raises
        ------
        ManifestMissing : nothing there, or disk or store do not give it
        ManifestInvalid : the csv lacks ``recording_id`` or ``path``, or is no text
        MissingExtra : a URL, and fsspec or its driver is not installed
        """
        if "://" in os.fspath(path):
            return cls._at(os.fspath(path))
        path = Path(path)
        with _from_disk(path):
            if path.is_dir():
                file = path / FILE
                if not file.is_file():
                    return cls(path, None)
                path = file
            if not path.is_file():
                raise errors.ManifestMissing(f"There is no manifest at {path}.")
        manifest = cls(path.parent, path)
        manifest.header()
        return manifest

    @classmethod
    def _at(cls, url: str) -> Manifest:
        path, mark, query = url.partition("?")  # as of a server that wants to be told ?download=1
        if path.lower().endswith(".csv"):
            folder, _, file = path.rpartition("/")
            manifest = cls(Path(), Path(f"{file}{mark}{query}"), folder)
            manifest.header()
            return manifest
        manifest = cls(Path(), Path(FILE), url.rstrip("/"))
        try:
            manifest.header()
        except errors.ManifestMissing as error:
            bare = cls(Path(), None, manifest.url)
            if isinstance(error.__cause__, errors.FileMissing) and any(map(_is_audio, bare._names())):
                return bare
            raise
        return manifest

    @property
    def name(self) -> str:
        """What ``open`` takes to come back to it."""
        if self.url is not None:
            return self.url if self.csv_path in (None, Path(FILE)) else f"{self.url}/{self.csv_path}"
        if self.csv_path is None:
            return str(self.root.resolve())
        # A csv that is a link stays one: the audio lies beside it, not beside what it points to.
        return str(self.csv_path.parent.resolve() / self.csv_path.name)

    @contextmanager
    def _open(self) -> Iterator[IO[bytes]]:
        if self.url is None:
            path = self.csv_path or self.root
            with _from_disk(path), open(path, "rb") as file:
                yield file
            return
        with self._from_store(), store.opened(f"{self.url}/{self.csv_path}") as file:
            yield file

    @contextmanager
    def _from_store(self) -> Iterator[None]:
        try:
            yield
        except errors.FileMissing as error:
            raise errors.ManifestMissing(f"There is no {self.csv_path or 'folder'} at {self.url}.") from error
        except errors.FileUnreadable as error:
            raise errors.ManifestMissing(f"{self.name}: {error}") from error

    def _listed(self, url: str) -> dict[str, bytes]:
        with self._from_store():
            return {name: state for name, state in store.listed(url).items() if not _is_hidden(name)}

    def _names(self) -> Iterator[str]:
        """Of the files in a folder without a csv, in order; hidden ones are nobody's recordings."""
        yield from _below(self.root) if self.url is None else self._listed(self.url)

    def _states(self) -> Iterator[tuple[str, bytes]]:
        """Each audio file in a folder without a csv, and what changes when it does."""
        if self.url is None:
            yield from ((name, _state(self.root / name)) for name in filter(_is_audio, self._names()))
        else:
            yield from ((name, s) for name, s in self._listed(self.url).items() if _is_audio(name))

    def header(self) -> tuple[str, ...]:
        """Column names."""
        if self.csv_path is None:
            return ("recording_id", "path")
        with self._open() as raw, io.TextIOWrapper(raw, newline="", encoding="utf-8-sig") as file:
            try:
                names = tuple(next(csv.reader(file), ()))
            except (UnicodeDecodeError, csv.Error) as error:
                raise errors.ManifestInvalid("The manifest is no CSV in UTF-8.") from error
        missing = {"recording_id", "path"} - set(names)
        if missing:
            raise errors.ManifestInvalid(f"The manifest has no column {' or '.join(sorted(missing))}.")
        if len(set(names)) != len(names):
            raise errors.ManifestInvalid("The manifest has two columns of one name.")
        return names

    def lines(self) -> Iterator[dict[str, str]]:
        """Every line as it stands, in order; cells beyond the header's under ``SURPLUS``.

        Raises
        ------
        ManifestInvalid : a line that cannot be read
        """
        return (line for _, line in self.numbered())

    def numbered(self) -> Iterator[tuple[int, dict[str, str]]]:
        """``lines``, each with its number as an editor shows it; where a cell holds several, the last.

        Raises
        ------
        ManifestInvalid : a line that cannot be read
        """
        if self.csv_path is None:
            for number, found in enumerate(filter(_is_audio, self._names()), start=2):
                # A name that is not UTF-8 fits no table; escaped, it names no file: that row's error alone.
                name = found.encode("utf-8", "backslashreplace").decode()
                yield number, {"recording_id": name, "path": name}
            return
        self.header()
        with self._open() as raw, io.TextIOWrapper(raw, newline="", encoding="utf-8-sig") as file:
            # Strict, or a quote that nobody closed would take every line after it into one cell.
            reader = csv.DictReader(file, restkey=SURPLUS, restval="", strict=True)
            read = 0
            try:
                for line in reader:
                    read = reader.line_num
                    yield read, line
            except (UnicodeDecodeError, csv.Error) as error:
                why = f": {error}" if isinstance(error, csv.Error) else ""
                raise errors.ManifestInvalid(f"Line {read + 1} cannot be read{why}.") from error

    def rows(self) -> Iterator[Row]:
        """Every line as facts and claims.

        Raises
        ------
        ManifestInvalid : a line that cannot be read, or a cell that its column does not allow
        """
        return (row for _, row in self._numbered_rows())

    def _numbered_rows(self) -> Iterator[tuple[int, Row]]:
        for number, line in self.numbered():
            if SURPLUS in line:
                raise errors.ManifestInvalid(f"Line {number} has more cells than the header.")
            try:
                recording = recording_of(line)
            except ValidationError as error:
                column = error.errors()[0]["loc"][0]
                raise errors.ManifestInvalid(
                    f"Line {number}: {column}: {error.errors()[0]['msg']}."
                ) from error
            yield number, Row(recording, tuple(_labels(line)), line)

    def left_out(self) -> Counter[str]:
        """How many files of a folder without a csv are no rows, by their suffix."""
        if self.csv_path is not None:
            return Counter()
        return Counter(PurePosixPath(name).suffix.lower() for name in self._names() if not _is_audio(name))

    def __len__(self) -> int:
        return sum(1 for _ in self.lines())

    def read_through(self) -> int:
        """Reads every line as a run would; how many there are. Nine bytes of memory a line.

        Raises
        ------
        ManifestInvalid : a line that ``rows`` refuses, or two that name one recording
        """
        ids = array("Q")
        for row in self.rows():
            hashed = hashlib.blake2b(
                row.recording.recording_id.encode("utf-8", "surrogateescape"), digest_size=8
            )
            ids.append(int.from_bytes(hashed.digest(), "little"))
        in_order = np.frombuffer(ids, np.uint64)
        in_order.sort()
        if (in_order[1:] == in_order[:-1]).any():
            seen: dict[str, int] = {}
            for number, row in self._numbered_rows():
                first = seen.setdefault(row.recording.recording_id, number)
                if first != number:
                    raise errors.ManifestInvalid(
                        f"Line {number}: recording_id {row.recording.recording_id} is that of line {first}."
                    )
        return len(ids)

    def locate(self, recording: Recording) -> str:
        """The path or URL to open."""
        if "://" in recording.path:
            return recording.path
        return f"{self.url}/{recording.path}" if self.url else str(self.root / recording.path)

    def sha256(self) -> str:
        """Of the csv, or of what a folder of audio holds: each file's name, size and time of change."""
        digest = hashlib.sha256()
        if self.csv_path is None:
            for name, state in self._states():
                digest.update(os.fsencode(name) + b"\0" + state)
        else:
            with self._open() as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        return digest.hexdigest()


def recording_of(line: dict[str, str]) -> Recording:
    """The facts in a line; blank is what nobody said, and a name, a length or a hash may say so in words."""
    values: dict[str, Any] = {
        name: line[name] for name in Recording.model_fields if line.get(name) not in (None, "")
    }
    # As a name, "n/a" would be one person behind everybody whom nobody knows.
    values["subject_id"] = said(line.get("subject_id")) or said(line.get("group_id")) or UNKNOWN
    values["duration_s"] = said(line.get("duration_s")) or None
    values["pcm_sha256"] = said(line.get("pcm_sha256")).lower() or None
    if fold := said(line.get("fold")):
        values.setdefault("split", fold)
    return Recording.model_validate(values)


def _labels(line: dict[str, str]) -> Iterator[Label]:
    for name, (value, evidence, conflict) in LABELS.items():
        if line.get(value):
            yield Label(
                recording_id=line["recording_id"],
                name=name,
                value=line[value],
                evidence=(line.get(evidence) or "") if evidence else "",
                conflict=conflict is not None and is_yes(line.get(conflict)),
            )


@contextmanager
def _from_disk(path: Path) -> Iterator[None]:
    """What cannot be opened, or has no possible name, is said as for a store."""
    try:
        yield
    except OSError as error:
        raise errors.ManifestMissing(f"{path} cannot be read: {error.strerror or error}.") from error


def _state(file: Path) -> bytes:
    """Size (bytes) and time of change (ns); nothing for a link to nowhere, which is an error row later."""
    try:
        facts = file.stat()
    except OSError:
        return b"\0"
    return f"{facts.st_size} {facts.st_mtime_ns}\0".encode()


def _below(root: Path) -> Iterator[str]:
    """Names of the files below a folder, in order; nothing hidden, nor what is in hidden folders."""
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        for name in sorted(files):
            if not _is_hidden(name):
                yield (Path(folder) / name).relative_to(root).as_posix()


def _is_hidden(name: str) -> bool:
    """Whether any part of a name below the folder begins with a dot, as that of a wastebasket does."""
    return any(part.startswith(".") for part in PurePosixPath(name).parts)


def _is_audio(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in SUFFIXES
