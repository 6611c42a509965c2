"""Manifests at a URL under another name, recordings with rarer suffixes and progress in a log: left out."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from cough import errors
from cough.audio import decode
from cough.cli import app
from cough.manifest import Manifest
from cough.run import Run, plan_shards
from tests.cough.test_cli import run
from training.codecs import Codec, encode

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
    record = Run.plan("memory://bare")
    record.check_replayable()
    pipe("memory://bare/notes.txt", b"other")
    record.check_replayable()
    pipe("memory://bare/b.wav", b"other")
    with pytest.raises(errors.BatchMismatch, match="manifest_sha256"):
        record.check_replayable()
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


KINDS = {
    ".weba": Codec("webm", "libopus"),
    ".3gpp": Codec("3gp", "aac", 16_000, None, "fltp"),
    ".3g2": Codec("3g2", "aac", 16_000, None, "fltp"),
    ".wma": Codec("asf", "wmav2", 44_100, 64_000, "fltp"),
    ".au": Codec("au", "pcm_s16be"),
    ".m4b": Codec("ipod", "aac", 44_100, None, "fltp"),
    ".mpga": Codec("mp3", "libmp3lame", 44_100, None, "s16p"),
    ".mpeg": Codec("mp3", "libmp3lame", 44_100, None, "s16p"),
    ".mp2": Codec("mp2", "mp2", 44_100),
    ".awb": Codec("amr", "libopencore_amrnb", 8_000),
    ".w64": Codec("w64", "pcm_s16le"),
    ".aifc": Codec("aiff", "pcm_s16be"),
    ".avi": Codec("avi", "pcm_s16le"),
    ".asf": Codec("asf", "wmav2", 44_100, 64_000, "fltp"),
    ".flv": Codec("flv", "aac", 44_100, None, "fltp"),
}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of sound in each of ``KINDS``, and what is no sound."""
    folder = tmp_path_factory.mktemp("mixed")
    for suffix, codec in KINDS.items():
        (folder / f"sound{suffix}").write_bytes(encode(np.zeros(16_000), codec))
    for name in ("a.json", "b.JSON", "surround.ac3", "README", ".hidden.json"):
        (folder / name).write_text("{}")
    return folder


def test_rarer_suffixes_are_read_as_well(mixed: Path) -> None:
    found = [row.recording for row in Manifest.open(mixed).rows()]
    assert {Path(recording.path).suffix for recording in found} == set(KINDS)
    for recording in found:
        assert decode(mixed / recording.path).duration_s == pytest.approx(1.0, abs=0.15)


def test_what_is_left_out_is_told(mixed: Path, tmp_path: Path) -> None:
    done = run("batch", mixed, "-o", tmp_path / "out", "--workers", "1", "--json")
    assert done.returncode == 0
    assert "files left out for their suffixes: 4 (2 .json, 1 without, 1 .ac3)" in done.stderr
    facts = json.loads(done.stdout)
    assert (facts["recordings"], facts["left_out"]) == (len(KINDS), 4)
    (mixed / "recordings.csv").write_text("recording_id,path\na,sound.au\n")
    assert not Manifest.open(mixed).left_out()
    (mixed / "recordings.csv").unlink()


def test_a_log_gets_a_line_now_and_then(mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cough.cli.batch.LOG_EVERY_S", 0.0)
    record = tmp_path / "run.json"
    record.write_text(Run.plan(mixed).model_copy(update={"shard_rows": 5}).model_dump_json())
    again = ["batch", "--replay", str(record), "-o", str(tmp_path / "out"), "--workers", "1"]
    done = CliRunner().invoke(app, again)
    assert done.exit_code == 0
    told = re.findall(r"^(\d+)/(\d+) recordings, [\d.]+ a second, [\d:]+ left$", done.stderr, re.MULTILINE)
    assert told == [("5", "15"), ("10", "15"), ("15", "15")]
    monkeypatch.setattr("cough.cli.batch.LOG_EVERY_S", 60.0)
    assert " a second" not in CliRunner().invoke(app, [*again[:-3], str(tmp_path / "other")]).stderr
