"""``--fix`` chose a label for the user; an empty folder and every URL were judged wrongly."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile
from typer.testing import CliRunner

from cough import errors
from cough.bundle import Bundle
from cough.cli import app
from cough.manifest import Manifest
from cough.validation import check_fix, validate, write_fixed
from tests.cough.test_validation import RATE_HZ, sound

HEADER = "recording_id,path,group_id,event,covid_status,label_conflict\n"


def folder(path: Path, *lines: str) -> Manifest:
    for name, seed in (("a", 1), ("b", 1), ("c", 1), ("d", 4)):
        soundfile.write(path / f"{name}.wav", sound(seed), RATE_HZ)
    (path / "recordings.csv").write_text(HEADER + "".join(f"{line}\n" for line in lines))
    return Manifest.open(path)


@pytest.mark.parametrize(
    ("lines", "kept"),
    [
        (["a,a.wav,p,cough,positive,0", "b,b.wav,p,cough,negative,0"], []),
        (["a,a.wav,p,cough,,0", "b,b.wav,p,sneeze,,0"], []),
        # b agrees with the first, and is contradicted by c all the same
        (["a,a.wav,p,cough,positive,", "b,b.wav,p,cough,positive,", "c,c.wav,p,cough,negative,"], []),
        # said already: neither status is used
        (["a,a.wav,p,cough,positive,1", "b,b.wav,p,cough,negative,1"], ["a", "b"]),
        # nothing contradicts what nobody said
        (["a,a.wav,p,cough,positive,0", "b,b.wav,p,cough,,0"], ["a"]),
    ],
    ids=["status", "event", "three", "declared", "blank"],
)
def test_no_line_of_a_contradiction_is_kept(
    tmp_path: Path, bundle: Bundle, lines: list[str], kept: list[str]
) -> None:
    manifest = folder(tmp_path, *lines, "d,d.wav,q,cough,negative,0")
    write_fixed(manifest, validate(manifest, bundle=bundle), tmp_path / "new.csv")
    fixed = Manifest.open(tmp_path / "new.csv")
    assert [row.recording.recording_id for row in fixed.rows()] == [*kept, "d"]
    assert validate(fixed, bundle=bundle) == []


def test_near_copies_contradict_each_other_too(tmp_path: Path, bundle: Bundle) -> None:
    manifest = folder(tmp_path, "a,a.wav,p,cough,positive,0", "b,b.ogg,p,cough,negative,0")
    soundfile.write(tmp_path / "b.ogg", sound(1)[800:], RATE_HZ)
    problems = validate(manifest, bundle=bundle)
    assert [(p.line, p.code) for p in problems] == [
        (2, "label_conflict"), (3, "near_duplicate_audio"), (3, "label_conflict"),
    ]  # fmt: skip


def test_the_command_says_that_it_did_not_choose(tmp_path: Path) -> None:
    folder(tmp_path, "a,a.wav,p,cough,positive,0", "b,b.wav,p,cough,negative,0")
    result = CliRunner().invoke(app, ["data", "validate", str(tmp_path), "--fix", str(tmp_path / "new.csv")])
    assert result.exit_code == 1
    assert "0 lines mended, 2 left out" in result.stderr
    assert "2 of those left out are of sounds that have two labels" in result.stderr
    assert (tmp_path / "new.csv").read_text() == HEADER


def test_labels_of_any_condition_contradict_each_other(tmp_path: Path, bundle: Bundle) -> None:
    """Only ``covid_status`` did; " Positive" contradicted "positive"."""
    for name in "abc":
        soundfile.write(tmp_path / f"{name}.wav", sound(1), RATE_HZ)
    (tmp_path / "recordings.csv").write_text(
        "recording_id,path,group_id,tb_status,asthma_status\n"
        "a,a.wav,p,positive,no\nb,b.wav,p,negative,No \nc,c.wav,p,,n/a\n"
    )
    problems = [p for p in validate(Manifest.open(tmp_path), bundle=bundle) if p.code == "label_conflict"]
    assert [p.line for p in problems] == [2, 3, 4]
    assert all("under tb_status negative and positive" in p.message for p in problems)


@pytest.mark.parametrize("text", [None, "recording_id,path\n"], ids=["folder", "csv"])
def test_nothing_is_not_sound(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "recordings.csv").write_text(text)
    result = CliRunner().invoke(app, ["data", "validate", str(tmp_path)])
    assert result.exit_code == 1
    assert "no_recording" in result.stdout


def test_recordings_behind_urls_are_opened(tmp_path: Path, bundle: Bundle) -> None:
    fsspec = pytest.importorskip("fsspec")
    store = fsspec.filesystem("memory")
    soundfile.write(tmp_path / "a.wav", sound(1), RATE_HZ)
    store.pipe("/validated/a.wav", (tmp_path / "a.wav").read_bytes())
    table = "recording_id,path,duration_s\na,a.wav,3.0\nb,memory://validated/a.wav,9.0\nc,c.wav,\n"
    store.pipe("/validated/recordings.csv", table.encode())
    result = CliRunner().invoke(app, ["data", "validate", "memory://validated", "--json"])
    assert result.exit_code == 1, result.output
    codes = sorted(line.split('"')[3] for line in result.stdout.splitlines())
    assert codes == ["duplicate_audio", "missing_file", "wrong_duration"]
    with pytest.raises(errors.ManifestInvalid, match="URL"):
        check_fix(Manifest.open("memory://validated"), tmp_path / "new.csv")
