"""Fetch the files of a corpus: resumed where they broke off, verified, never half there.

A file is ``archives/NAME`` only once it is whole and its checksum is right; until then it is
``archives/.NAME.partial``, which the next call goes on with, if the server still has the same file
(``If-Range``). pooch would fetch and verify as well, but it begins anew after every broken connection,
which at 24 GB is never.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cough import errors
from training.corpora.dataset import Dataset, RemoteFile
from training.corpora.unpack import unpack

if TYPE_CHECKING:
    import httpx

ARCHIVES = "archives"
RECORD = "downloads.json"
TIMEOUT_S = 60.0
TRIES = 6
"""Connections without a single new byte after which to give up; any progress starts the count anew."""
LONGEST_WAIT_S = 60.0
MAX_BYTES = 200 << 30
"""Of a file whose size nobody published."""
CHECKED = frozenset({"published", "zenodo"})
"""Words of ``Fetched.verified`` that mean the checksum is right."""
RETRY_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
_ZENODO = re.compile(r"^(https?://[^/]+)/records/(\d+)/files/(.+)$")

Progress = Callable[[str, int, int | None], None]
"""Called with (file name, bytes so far, bytes in all or None)."""


@dataclass(frozen=True)
class Fetched:
    """One file that is there."""

    name: str
    url: str
    bytes: int
    md5: str
    verified: str
    """Against what: ``published``, ``zenodo`` (asked for at download), or why not."""


def download(
    facts: Dataset,
    folder: Path,
    *,
    parts: tuple[str, ...] = (),
    progress: Progress = lambda name, done, total: None,
    wait: Callable[[float], None] = time.sleep,
) -> tuple[Fetched, ...]:
    """Fetch, verify and unpack a corpus.

    Parameters
    ----------
    folder : gets ``archives/``, and beside it one folder an archive, named after it
    parts : of ``Dataset.parts``; none means the default ones
    progress : told of every piece
    wait : sleeps between tries

    Returns
    -------
    tuple : the files, in the order of ``dataset.yaml``; the same stands in ``downloads.json``

    Raises
    ------
    CorpusNotOpen : it is to be asked for; says where
    CorpusUnknown : no such part
    DownloadFailed : the server refuses, breaks off again and again, or there is no room
    ChecksumMismatch : other bytes than those published; they are removed
    ArchiveUnsafe : the archive holds what it should not
    MissingExtra : httpx is not installed
    """
    if facts.access != "open":
        raise errors.CorpusNotOpen(
            f"{facts.name} cannot be downloaded by a program. {facts.ask} "
            f"Then run cough data prepare {facts.name} FOLDER."
        )
    files = facts.choose(parts)
    archives = folder / ARCHIVES
    archives.mkdir(parents=True, exist_ok=True)
    with _alone(archives), _client() as client:
        known = _read_record(folder)
        unpacked = {file.name for file in files if file.name in known and _unpacked(file, folder).exists()}
        _check_room([file for file in files if file.name not in unpacked], archives)
        fetched = tuple(
            known[file.name]
            if file.name in unpacked
            else fetch(file, archives, client, progress=progress, wait=wait)
            for file in files
        )
        for file, got in zip(files, fetched, strict=True):
            if file.unpack:
                _unpack(archives / file.name, _unpacked(file, folder), checked=got.verified in CHECKED)
        _write_record(folder, known | {file.name: file for file in fetched})
    return fetched


def _unpack(archive: Path, folder: Path, *, checked: bool) -> None:
    """``unpack``; a damaged archive that no checksum vouched for goes, or it would be there for ever."""
    try:
        unpack(archive, folder)
    except errors.DownloadFailed as error:
        if checked:
            raise
        archive.unlink()
        raise errors.DownloadFailed(f"{error} It was removed: run it again.") from error


def _unpacked(file: RemoteFile, folder: Path) -> Path:
    """Where an archive is unpacked; parts of a split one share it."""
    return folder / Path(file.name).stem


def fetch(
    file: RemoteFile,
    folder: Path,
    client: httpx.Client,
    *,
    progress: Progress = lambda name, done, total: None,
    wait: Callable[[float], None] = time.sleep,
) -> Fetched:
    """One file, whole and verified, at ``folder / file.name``; raises as ``download``."""
    size, md5, verified = _published(file, client)
    target, partial = folder / file.name, folder / f".{file.name}.partial"
    if not target.exists():
        _receive(file, partial, client, size, md5 is not None, progress, wait)
    found = target if target.exists() else partial
    digest = _md5(found)
    if md5 is not None and digest != md5:
        found.unlink()
        _tag(partial).unlink(missing_ok=True)
        raise errors.ChecksumMismatch(
            f"{file.name} has md5 {digest}, published is {md5}; it was removed. Try again, and if it comes "
            "out the same, the publisher has changed the file or the way to it is not clean."
        )
    partial.unlink(missing_ok=True) if found is target else partial.replace(target)
    _tag(partial).unlink(missing_ok=True)
    return Fetched(file.name, file.url, target.stat().st_size, digest, verified)


def _receive(
    file: RemoteFile,
    partial: Path,
    client: httpx.Client,
    size: int | None,
    checked_later: bool,
    progress: Progress,
    wait: Callable[[float], None],
) -> None:
    """Go on with ``partial`` until it is whole."""
    import httpx

    tries, most = 0, _size(partial)
    while size is None or _size(partial) != size:
        pause, why = 0.0, ""
        try:
            pause = _receive_some(file, partial, client, size, checked_later, progress)
            if not pause:
                if size is None or _size(partial) == size:
                    return
                why = "the connection ended early"
        except httpx.TransportError as error:
            why = str(error) or type(error).__name__
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise errors.DownloadFailed(f"{file.name}: {error}") from error
        tries = 0 if _size(partial) > most else tries + 1
        most = max(most, _size(partial))
        if tries >= TRIES:
            raise errors.DownloadFailed(
                f"{file.name}: gave up after {TRIES} tries without progress ({why or 'the server is busy'}). "
                f"What arrived is kept; run it again to go on."
            )
        wait(min(LONGEST_WAIT_S, max(pause, 2.0**tries - 1)))


def _receive_some(
    file: RemoteFile,
    partial: Path,
    client: httpx.Client,
    size: int | None,
    checked_later: bool,
    progress: Progress,
) -> float:
    """One connection. Seconds that a busy server asks to wait; 0 where it sent to its end."""
    import httpx

    have, tag = _size(partial), _tag(partial)
    headers = {"Accept-Encoding": "identity"}
    # Without a validator, only a checksum can tell whether both pieces are of one file.
    if have and (tag.exists() or checked_later):
        headers["Range"] = f"bytes={have}-"
        if tag.exists():
            headers["If-Range"] = tag.read_text()
    with client.stream("GET", file.url, headers=headers) as answer:
        if answer.status_code in RETRY_STATUS:
            asked = answer.headers.get("Retry-After", "")
            return float(asked) if asked.isdecimal() else 1.0
        if answer.status_code == 416:  # not a single byte after what is there: begin anew
            partial.unlink(missing_ok=True)
            tag.unlink(missing_ok=True)
            return 0.1
        if answer.status_code not in (200, 206):
            raise errors.DownloadFailed(
                f"{file.name}: the server answers {answer.status_code} {answer.reason_phrase}."
            )
        resumed = answer.status_code == 206 and _begins_at(answer.headers.get("Content-Range", ""), have)
        if answer.status_code == 206 and not resumed:
            raise errors.DownloadFailed(f"{file.name}: the server sends another range than asked for.")
        offered = _length(answer, 0)
        is_page = answer.headers.get("Content-Type", "").lower().startswith("text/html")
        if not resumed and have and is_page and (size is None or offered != size):
            # What arrived so far is worth more than a portal's page.
            raise httpx.RemoteProtocolError("the server sends a web page")
        if not resumed and size is not None and offered is not None and offered < size:
            raise httpx.RemoteProtocolError(f"the server offers {offered} bytes, {size} are expected")
        if not resumed:
            have = 0
        # A weak validator promises nothing about bytes.
        etag = answer.headers.get("ETag", "")
        strong = etag if etag and not etag.startswith("W/") else ""
        if strong:
            tag.write_text(strong)
        elif not resumed:
            tag.unlink(missing_ok=True)
        limit = MAX_BYTES if size is None else size
        total = size if size is not None else _length(answer, have)
        with open(partial, "ab" if resumed else "wb") as out:
            for chunk in answer.iter_raw():  # as it comes: what is collected is lost in a break
                have += len(chunk)
                if have > limit:
                    out.close()
                    partial.unlink()
                    tag.unlink(missing_ok=True)
                    raise errors.DownloadFailed(f"{file.name}: the server sends more than {limit} bytes.")
                out.write(chunk)
                progress(file.name, have, total)
    return 0.0


def _published(file: RemoteFile, client: httpx.Client) -> tuple[int | None, str | None, str]:
    """Size, md5 and where they are from; Zenodo's record is asked where ``dataset.yaml`` has no md5."""
    import httpx

    if file.md5 is not None:
        return file.bytes, file.md5, "published"
    if found := _ZENODO.match(file.url):
        host, record, name = found.groups()
        try:
            answer = client.get(f"{host}/api/records/{record}")
            answer.raise_for_status()
            for entry in answer.json()["files"]:
                if entry["key"] == name:
                    return int(entry["size"]), str(entry["checksum"]).removeprefix("md5:"), "zenodo"
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            pass
    return file.bytes, None, f"not verified: {file.no_checksum}"


def _client() -> Any:
    try:
        import httpx
    except ImportError as error:
        raise errors.MissingExtra("Downloading needs the extra corpora: pip install '.[corpora]'") from error
    return httpx.Client(
        follow_redirects=True,
        timeout=httpx.Timeout(TIMEOUT_S),
        headers={"User-Agent": "cough-screening"},
    )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two downloads into one folder would write into each other's files."""
    with open(folder / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise errors.DownloadFailed(f"Another download into {folder} is running.") from error
        yield


def _check_room(files: Sequence[RemoteFile], archives: Path) -> None:
    missing = sum(file.bytes or 0 for file in files if not (archives / file.name).exists())
    there = sum(_size(archives / f".{file.name}.partial") for file in files)
    free = shutil.disk_usage(archives).free
    if missing - there > free:
        raise errors.DownloadFailed(
            f"There is no room: {(missing - there) / 1e9:.1f} GB are to come, {free / 1e9:.1f} GB are free "
            "(and unpacking needs as much again)."
        )


def _read_record(folder: Path) -> dict[str, Fetched]:
    try:
        entries = json.loads((folder / RECORD).read_text())
        return {entry["name"]: Fetched(**entry) for entry in entries}
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return {}


def _write_record(folder: Path, fetched: dict[str, Fetched]) -> None:
    partial = folder / f".{RECORD}.partial"
    partial.write_text(json.dumps([asdict(file) for file in fetched.values()], indent=1) + "\n")
    partial.replace(folder / RECORD)


def _tag(partial: Path) -> Path:
    """Where the validator of a partial file is kept."""
    return partial.with_name(f"{partial.name}.etag")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _begins_at(content_range: str, have: int) -> bool:
    return content_range.startswith(f"bytes {have}-")


def _length(answer: httpx.Response, have: int) -> int | None:
    length = answer.headers.get("Content-Length", "")
    return have + int(length) if length.isdecimal() else None


def _md5(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
