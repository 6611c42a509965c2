from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cough import errors
from cough.manifest import UNKNOWN, Manifest, recording_of
from cough.run import Run


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    names = list(dict.fromkeys(name for row in rows for name in row))
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, names, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_facts_and_claims_are_apart(tmp_path: Path) -> None:
    line = {
        "recording_id": "a",
        "path": "a.wav",
        "duration_s": "1.5",
        "group_id": "p1",
        "fold": "5",
        "event": "cough",
        "covid_status": "positive",
        "covid_evidence": "self_report",
        "label_conflict": "1",
    }
    manifest = Manifest.open(write(tmp_path / "recordings.csv", [line]))
    (row,) = manifest.rows()
    assert (row.recording.subject_id, row.recording.split, row.recording.duration_s) == ("p1", "5", 1.5)
    assert {(label.name, label.value, label.conflict) for label in row.labels} == {
        ("event", "cough", False),
        ("covid19", "positive", True),
    }
    assert manifest.locate(row.recording) == str(tmp_path / "a.wav")


def test_a_folder_of_audio_is_a_manifest_without_labels(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("b/2.WAV", "1.m4a", "notes.txt", ".hidden.wav"):
        (tmp_path / name).write_bytes(b"")
    rows = list(Manifest.open(tmp_path).rows())
    assert [row.recording.path for row in rows] == ["1.m4a", "b/2.WAV"]
    assert all(row.recording.subject_id == UNKNOWN and not row.labels for row in rows)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "manifest_invalid"),
        ("recording_id\na\n", "manifest_invalid"),
        ("recording_id,path\na,b,c\n", "manifest_invalid"),
        ("recording_id,path,duration_s\na,b,long\n", "manifest_invalid"),
        ("recording_id,path,duration_s\na,b,inf\n", "manifest_invalid"),
        ("recording_id,path,duration_s\na,b,-1\n", "manifest_invalid"),
        ("recording_id,path,path\na,b,c\n", "manifest_invalid"),
    ],
)
def test_bad_csv_is_a_clear_error(tmp_path: Path, text: str, code: str) -> None:
    file = tmp_path / "m.csv"
    file.write_text(text)
    with pytest.raises(errors.ManifestError) as caught:
        list(Manifest.open(file).rows())
    assert caught.value.code == code


@pytest.mark.parametrize("word", ["", " ", "NA", "nan", "unknown"])
def test_a_length_that_nobody_told_may_be_said_in_words(word: str) -> None:
    assert recording_of({"recording_id": "a", "path": "b", "duration_s": word}).duration_s is None


@pytest.mark.parametrize("twice", [False, True])
def test_two_lines_for_one_recording_are_refused_before_anything_is_screened(
    tmp_path: Path, twice: bool
) -> None:
    file = tmp_path / "m.csv"
    names = [f"r{i}" for i in range(500)]
    names[400] = names[7] if twice else names[400]
    file.write_text("recording_id,path\n" + "".join(f"{name},a.wav\n" for name in names))
    if twice:
        with pytest.raises(errors.ManifestInvalid, match="Line 402: recording_id r7 is that of line 9"):
            Run.plan(file)
    else:
        assert Run.plan(file).n_rows == 500


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    file = tmp_path / "m.csv"
    file.write_bytes(b"recording_id,path\n\xff\xfe,x\n")
    with pytest.raises(errors.ManifestInvalid):
        list(Manifest.open(file).rows())


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(errors.ManifestMissing):
        Manifest.open(tmp_path / "none.csv")


@given(st.dictionaries(st.sampled_from(["duration_s", "fold", "group_id", "source", "extra"]), st.text()))
def test_any_cell_is_read_or_refused_by_name(cells: dict[str, str]) -> None:
    try:
        recording = recording_of({"recording_id": "a", "path": "p", **cells})
    except ValueError as error:
        assert "duration_s" in str(error)
    else:
        assert recording.duration_s is None or recording.duration_s >= 0


@pytest.mark.corpus
def test_the_corpus_is_a_manifest() -> None:
    from training.corpus import corpus_path

    manifest = Manifest.open(corpus_path())
    rows = list(manifest.rows())
    assert len(rows) == len(manifest) == 9_105
    assert all(Path(manifest.locate(row.recording)).is_file() for row in rows[:20])
