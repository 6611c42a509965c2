"""Manifests at a URL under another name, recordings with rarer suffixes and progress in a log: left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from cough import errors
from cough.manifest import Manifest
from cough.run import Run, plan_shards

fsspec = pytest.importorskip("fsspec")


def pipe(url: str, content: bytes) -> None:
    with fsspec.open(url, "wb") as file:
        file.write(content)


def planned(url: str) -> list[tuple[str, str]]:
    """Name and place of each recording that a run over a manifest would screen."""
    return [(r.recording_id, where) for shard in plan_shards(Run.plan(url)) for r, where in shard.rows]


def test_a_csv_at_a_url_may_have_any_name() -> None:
    for name in ("fold5.csv", "recordings.csv"):
        pipe(f"memory://named/{name}", f"recording_id,path\n{name},a.wav\n".encode())
    assert planned("memory://named/fold5.csv") == [("fold5.csv", "memory://named/a.wav")]
    whole = [("recordings.csv", "memory://named/a.wav")]
    assert planned("memory://named") == planned("memory://named/recordings.csv") == whole
    names = [Manifest.open(f"memory://named/{end}").name for end in ("fold5.csv", "recordings.csv", "")]
    assert names == ["memory://named/fold5.csv", "memory://named", "memory://named"]
    with pytest.raises(errors.ManifestMissing, match=r"no fold4\.csv at memory://named"):
        Manifest.open("memory://named/fold4.csv")


def test_a_folder_of_audio_at_a_url_is_listed() -> None:
    for name in ("b.wav", "deep/a.OGG", ".hidden.wav", "notes.txt"):
        pipe(f"memory://bare/{name}", b"sound")
    pipe("memory://bare-not/c.wav", b"")
    assert planned("memory://bare/") == [
        ("b.wav", "memory://bare/b.wav"), ("deep/a.OGG", "memory://bare/deep/a.OGG"),
    ]  # fmt: skip
    run = Run.plan("memory://bare")
    run.check_replayable()
    pipe("memory://bare/notes.txt", b"other")
    run.check_replayable()
    pipe("memory://bare/b.wav", b"other")
    with pytest.raises(errors.BatchMismatch, match="manifest_sha256"):
        run.check_replayable()
    pipe("memory://silent/notes.txt", b"")
    with pytest.raises(errors.ManifestMissing, match=r"no recordings\.csv"):
        Manifest.open("memory://silent")


def test_a_folder_at_a_url_is_what_it_is_here(tmp_path: Path) -> None:
    for name in ("b.wav", "deep/a.ogg", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    here, there = Manifest.open(tmp_path), Manifest.open(tmp_path.as_uri())
    assert list(here.lines()) == list(there.lines())
    assert len(here) == len(there) == 2
