"""Fetching a corpus from a server that breaks off, lies and changes its mind."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
import yaml

from cough import errors
from tests.cough.test_cli import run
from tests.training.corpora.server import Mood, serving
from training.corpora import dataset
from training.corpora.dataset import Dataset, RemoteFile
from training.corpora.download import TRIES, download, fetch


def packed() -> bytes:
    """A small zip that does not compress."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("corpus/a.bin", np.random.default_rng(0).bytes(300_000))
        archive.writestr("corpus/b.txt", "b")
    return data.getvalue()


CONTENT = packed()
MD5 = hashlib.md5(CONTENT).hexdigest()


@pytest.fixture
def mood() -> Iterator[Mood]:
    with serving(CONTENT) as served:
        yield served


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(follow_redirects=True, timeout=5) as opened:
        yield opened


def remote(mood: Mood, **changes: Any) -> RemoteFile:
    facts = {"name": "a.zip", "url": f"{mood.url}/a.zip", "bytes": len(CONTENT), "md5": MD5} | changes
    return RemoteFile.model_validate(facts)


def described(*files: RemoteFile, **changes: Any) -> Dataset:
    return dataset.dataset("esc50").model_copy(update={"files": files} | changes)


def no_wait(seconds: float) -> None:
    """Tests are in a hurry."""


def test_a_whole_file_is_fetched_once(mood: Mood, client: httpx.Client, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int | None]] = []
    got = fetch(remote(mood), tmp_path, client, progress=lambda *state: seen.append(state), wait=no_wait)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert (got.md5, got.verified, got.bytes) == (MD5, "published", len(CONTENT))
    assert seen[-1] == ("a.zip", len(CONTENT), len(CONTENT))
    fetch(remote(mood), tmp_path, client, wait=no_wait)
    assert mood.asked == [None]
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


@pytest.mark.parametrize("etag", ['"one"', None, 'W/"weak"'])
@pytest.mark.parametrize("length", [True, False])
def test_broken_connections_are_resumed(
    mood: Mood, client: httpx.Client, tmp_path: Path, etag: str | None, length: bool
) -> None:
    mood.etag, mood.length = etag, length
    mood.breaks = [10_000, 50_000, 1, 70_000, 0, 0]
    fetch(remote(mood), tmp_path, client, wait=no_wait)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert mood.asked[1] == "bytes=10000-"
    assert mood.asked[2] == "bytes=60000-"


def test_without_checksum_and_validator_it_begins_anew(
    mood: Mood, client: httpx.Client, tmp_path: Path
) -> None:
    mood.etag, mood.breaks = None, [10_000]
    unknown = remote(mood, md5=None, no_checksum="nobody says")
    got = fetch(unknown, tmp_path, client, wait=no_wait)
    assert mood.asked == [None, None]
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert got.verified == "not verified: nobody says"


def test_a_server_without_ranges_is_asked_for_all_of_it(
    mood: Mood, client: httpx.Client, tmp_path: Path
) -> None:
    mood.ranges, mood.breaks = False, [200_000]
    fetch(remote(mood), tmp_path, client, wait=no_wait)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_a_file_that_changed_in_between_is_not_glued(
    mood: Mood, client: httpx.Client, tmp_path: Path
) -> None:
    mood.breaks = [10_000] + [0] * TRIES
    file = remote(mood, md5=None, no_checksum="x")
    with pytest.raises(errors.DownloadFailed, match="run it again"):
        fetch(file, tmp_path, client, wait=no_wait)
    mood.content, mood.etag, mood.breaks = CONTENT[::-1], '"two"', []
    fetch(file, tmp_path, client, wait=no_wait)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT[::-1]


def test_giving_up_keeps_what_arrived_and_goes_on_later(
    mood: Mood, client: httpx.Client, tmp_path: Path
) -> None:
    mood.breaks = [100_000] + [0] * TRIES
    waits: list[float] = []
    with pytest.raises(errors.DownloadFailed, match="gave up after 6 tries"):
        fetch(remote(mood), tmp_path, client, wait=waits.append)
    assert not (tmp_path / "a.zip").exists()
    assert waits == sorted(waits) and waits[-1] > 10
    mood.breaks, mood.asked = [], []
    fetch(remote(mood), tmp_path, client, wait=no_wait)
    assert mood.asked == ["bytes=100000-"]
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_a_busy_server_is_waited_for(mood: Mood, client: httpx.Client, tmp_path: Path) -> None:
    mood.answers = [503, 429]
    waits: list[float] = []
    fetch(remote(mood), tmp_path, client, wait=waits.append)
    assert len(waits) == 2 and min(waits) >= 1
    assert (tmp_path / "a.zip").exists()


def test_refusals_are_final(mood: Mood, client: httpx.Client, tmp_path: Path) -> None:
    mood.answers = [404]
    with pytest.raises(errors.DownloadFailed, match="404"):
        fetch(remote(mood), tmp_path, client, wait=no_wait)
    with pytest.raises(errors.DownloadFailed, match="gave up"):
        fetch(remote(mood, url="http://127.0.0.1:9/a.zip"), tmp_path, client, wait=no_wait)


@pytest.mark.parametrize("there_already", [False, True])
def test_a_wrong_checksum_leaves_nothing(
    mood: Mood, client: httpx.Client, tmp_path: Path, there_already: bool
) -> None:
    if there_already:
        (tmp_path / "a.zip").write_bytes(CONTENT[:-1] + b"x")
    else:
        mood.content = CONTENT[:-1] + b"x"
    with pytest.raises(errors.ChecksumMismatch, match=MD5):
        fetch(remote(mood), tmp_path, client, wait=no_wait)
    assert list(tmp_path.iterdir()) == []


def test_more_than_promised_is_refused(mood: Mood, client: httpx.Client, tmp_path: Path) -> None:
    mood.content, mood.length = CONTENT + b"more", False
    with pytest.raises(errors.DownloadFailed, match="more than"):
        fetch(remote(mood), tmp_path, client, wait=no_wait)
    assert list(tmp_path.iterdir()) == []


def test_zenodo_is_asked_for_a_checksum_that_nobody_wrote_down(
    mood: Mood, client: httpx.Client, tmp_path: Path
) -> None:
    file = remote(
        mood, url=f"{mood.url}/records/7/files/a.zip", md5=None, bytes=None, no_checksum="not found"
    )
    mood.md5 = "0" * 32
    with pytest.raises(errors.ChecksumMismatch):
        fetch(file, tmp_path, client, wait=no_wait)
    mood.md5 = MD5
    assert fetch(file, tmp_path, client, wait=no_wait).verified == "zenodo"
    mood.md5 = None
    assert fetch(file, tmp_path, client, wait=no_wait).verified == "not verified: not found"


def test_a_corpus_is_unpacked_whole_and_recorded(mood: Mood, tmp_path: Path) -> None:
    facts = described(remote(mood))
    folder = tmp_path / "esc50"
    download(facts, folder, wait=no_wait)
    assert (folder / "a" / "corpus" / "b.txt").read_text() == "b"
    assert json.loads((folder / "downloads.json").read_text())[0]["md5"] == MD5
    (folder / "archives" / "a.zip").unlink()  # no longer needed
    download(facts, folder, wait=no_wait)
    assert len(mood.asked) == 1
    assert not [path for path in folder.rglob("*") if "partial" in path.name]


def test_a_damaged_archive_that_nobody_vouches_for_is_fetched_anew(mood: Mood, tmp_path: Path) -> None:
    """GitHub's archives have no checksum: a portal's page in their place must not stay for ever."""
    facts = described(remote(mood, bytes=None, md5=None, no_checksum="nobody says"))
    mood.content = b"<html>please log in</html>"
    with pytest.raises(errors.DownloadFailed, match="removed: run it again"):
        download(facts, tmp_path, wait=no_wait)
    mood.content = CONTENT
    download(facts, tmp_path, wait=no_wait)
    assert (tmp_path / "a" / "corpus" / "b.txt").read_text() == "b"


def test_a_page_instead_of_the_file_does_not_cost_what_arrived(
    mood: Mood, client: httpx.Client, tmp_path: Path
) -> None:
    mood.breaks = [100_000]
    pages = iter((CONTENT, b"<html>please log in</html>"))

    def next_page(seconds: float) -> None:
        mood.content, mood.etag = next(pages, b""), None
        if not mood.content:
            mood.content, mood.etag = CONTENT, '"one"'

    mood.content = CONTENT
    next(pages)
    fetch(remote(mood), tmp_path, client, wait=next_page)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert mood.asked[1:] == ["bytes=100000-"] * (len(mood.asked) - 1)


def test_a_page_of_unknown_length_does_not_cost_what_arrived_either(
    mood: Mood, client: httpx.Client, tmp_path: Path
) -> None:
    mood.breaks = [100_000]

    def page_then_file(seconds: float) -> None:
        page = mood.kind == "application/zip" and len(mood.asked) < 2
        mood.content, mood.etag = (b"<html>", None) if page else (CONTENT, '"one"')
        mood.kind, mood.length = ("text/html", False) if page else ("application/zip", True)

    fetch(remote(mood), tmp_path, client, wait=page_then_file)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert mood.asked == [None, "bytes=100000-", "bytes=100000-"]


def test_a_damaged_archive_leaves_no_folder(mood: Mood, tmp_path: Path) -> None:
    mood.content = CONTENT[:200_000]
    facts = described(remote(mood, bytes=None, md5=hashlib.md5(mood.content).hexdigest()))
    with pytest.raises(errors.DownloadFailed, match="damaged"):
        download(facts, tmp_path, wait=no_wait)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archives"]


def test_parts_room_and_permission(mood: Mood, tmp_path: Path) -> None:
    facts = described(remote(mood, part="x"), remote(mood, name="b.zip", part="y"), default_parts=("x",))
    assert [file.name for file in download(facts, tmp_path, wait=no_wait)] == ["a.zip"]
    both = download(facts, tmp_path, parts=("x", "y"), wait=no_wait)
    assert [file.name for file in both] == ["a.zip", "b.zip"]
    with pytest.raises(errors.DownloadFailed, match="no room"):
        download(described(remote(mood, name="c.zip", bytes=10**18)), tmp_path, wait=no_wait)
    with pytest.raises(errors.CorpusNotOpen, match="synapse"):
        download(dataset.dataset("coda_tb"), tmp_path)


def test_what_is_unpacked_already_takes_no_room(
    mood: Mood, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = described(remote(mood))
    download(facts, tmp_path, wait=no_wait)
    (tmp_path / "archives" / "a.zip").unlink()  # as the command says that one may
    monkeypatch.setattr("training.corpora.download.shutil.disk_usage", lambda _: SimpleNamespace(free=0))
    assert [file.md5 for file in download(facts, tmp_path, wait=no_wait)] == [MD5]
    with pytest.raises(errors.DownloadFailed, match="no room"):
        download(described(remote(mood), remote(mood, name="b.zip")), tmp_path, wait=no_wait)


def test_the_command(mood: Mood, tmp_path: Path) -> None:
    done = run("data", "download", "coda_tb")
    assert done.returncode == 1
    assert "corpus_not_open" in done.stderr
    assert "cough data prepare coda_tb" in done.stderr
    assert run("data", "download", "coughvid", "--part", "v9").returncode == 2
    assert run("data", "download", "nothing").returncode == 2
    (tmp_path / "file").write_text("")
    done = run("data", "download", "esc50", "-o", tmp_path / "file" / "below")
    assert done.returncode == 1
    assert yaml.safe_load((dataset.FOLDER / "esc50" / dataset.FILE).read_text())["access"] == "open"
