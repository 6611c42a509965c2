"""A linked csv, a replaced file and a name that is not UTF-8: what a manifest takes its files for."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from cough import errors
from cough.bundle import Bundle
from cough.manifest import Manifest, recording_of
from cough.predictions import encode_table
from cough.run import Run, Shard, plan_shards
from cough.screener import Screener
from cough.validation import validate
from cough.workers import shard_table
from tests.cough.test_validation import RATE_HZ, sound

bytes_in_names = pytest.mark.skipif(sys.platform != "linux", reason="its file names are text")


def shard(run: Run) -> Shard:
    (only,) = plan_shards(run)
    return only


def test_audio_lies_beside_the_link_to_a_csv(tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "v3.csv").write_text("recording_id,path\na,a.wav\n")
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "a.wav").write_bytes(b"")
    (tmp_path / "corpus" / "recordings.csv").symlink_to(tmp_path / "tables" / "v3.csv")
    (tmp_path / "link").symlink_to(tmp_path / "corpus")
    runs = [Run.plan(tmp_path / name) for name in ("corpus", "link", "corpus/recordings.csv")]
    assert runs[0] == runs[1] == runs[2]
    ((_, where),) = shard(runs[0]).rows
    assert Path(where).samefile(tmp_path / "corpus" / "a.wav")


def test_a_replaced_recording_does_not_get_the_old_ones_row(tmp_path: Path) -> None:
    folder = tmp_path / "audio"
    folder.mkdir()
    (folder / "a.wav").write_bytes(b"no sound")
    (folder / "gone.wav").symlink_to(tmp_path / "nowhere")
    run = Run.plan(folder)
    assert Run.plan(folder) == run
    run.check_replayable()
    facts = (folder / "a.wav").stat()
    (folder / "a.wav").write_bytes(b"of one size but later")
    with pytest.raises(errors.BatchMismatch, match="manifest_sha256"):
        run.check_replayable()
    (folder / "a.wav").write_bytes(b"no sound")
    os.utime(folder / "a.wav", ns=(facts.st_atime_ns, facts.st_mtime_ns))
    run.check_replayable()
    os.utime(folder / "a.wav", ns=(facts.st_atime_ns, facts.st_mtime_ns + 1_000_000))
    assert Run.plan(folder) != run


@bytes_in_names
def test_a_name_that_is_not_utf_8_is_an_error_of_that_file(
    tmp_path: Path, screener: Screener, bundle: Bundle
) -> None:
    soundfile.write(tmp_path / "good.wav", sound(1), RATE_HZ)
    odd = os.fsencode(tmp_path) + b"/caf\xe9.wav"
    Path(os.fsdecode(odd)).write_bytes((tmp_path / "good.wav").read_bytes())
    table = shard_table(screener, shard(Run.plan(tmp_path)))
    assert encode_table(table)
    rows = {row["recording_id"]: row for row in table.to_pylist()}
    assert {name: row["error_code"] for name, row in rows.items()} == {
        "caf\\udce9.wav": "file_unreadable", "good.wav": None,
    }  # fmt: skip
    assert "not UTF-8" in rows["caf\\udce9.wav"]["error_message"]
    problems = validate(Manifest.open(tmp_path), bundle=bundle)
    assert [(p.recording_id, p.code) for p in problems] == [("caf\\udce9.wav", "unreadable")]


@bytes_in_names
@given(
    st.binary(min_size=1, max_size=8).filter(lambda name: not set(name) & set(b"/\0") and name[:1] != b".")
)
def test_any_name_is_a_row(tmp_path_factory: pytest.TempPathFactory, name: bytes) -> None:
    folder = tmp_path_factory.mktemp("names")
    Path(os.fsdecode(os.fsencode(folder) + b"/" + name + b".wav")).write_bytes(b"")
    (line,) = Manifest.open(folder).lines()
    recording_of(line).model_dump_json()
    assert len(Manifest.open(folder).sha256()) == 64


def test_nothing_hidden_is_screened(tmp_path: Path) -> None:
    """Recordings in a wastebasket were."""
    for name in (".Trash-1000/files/x.wav", "a/.cache/y.wav", "a/.z.wav", "a/b.wav", "c.d/e.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    pytest.importorskip("fsspec")
    for manifest in (Manifest.open(tmp_path), Manifest.open(tmp_path.as_uri())):
        assert [line["path"] for line in manifest.lines()] == ["a/b.wav", "c.d/e.wav"]
        assert not manifest.left_out()


def test_a_csv_at_a_url_with_a_query_is_a_csv() -> None:
    fsspec = pytest.importorskip("fsspec")
    url = "memory://asked/m.CSV?download=1&path=a/b"
    with fsspec.open(url, "wb") as file:
        file.write(b"recording_id,path\na,a.wav\n")
    manifest = Manifest.open(url)
    assert manifest.name == url
    assert Manifest.open(manifest.name) == manifest
    ((_, where),) = shard(Run.plan(url)).rows
    assert where == "memory://asked/a.wav"
