from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import numpy as np
import pytest
import soundfile

from cough import errors
from cough.audio import decode
from cough.bundle import Bundle
from cough.manifest import Manifest
from cough.validation import validate, write_fixed
from training import synth

RATE_HZ = 16_000


def sound(seed: int) -> np.ndarray:
    return synth.cough_bout(np.random.default_rng(seed)).astype(np.float32)[: 3 * RATE_HZ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Fine; a copy under another subject; a louder cut of it; two of one person; a missing one."""
    first = sound(1)
    soundfile.write(tmp_path / "a.wav", first, RATE_HZ)
    soundfile.write(tmp_path / "copy.wav", first, RATE_HZ)
    soundfile.write(tmp_path / "near.ogg", np.clip(1.3 * first[800:], -1, 1), RATE_HZ)
    soundfile.write(tmp_path / "b.wav", sound(2), RATE_HZ)
    soundfile.write(tmp_path / "c.wav", sound(3), RATE_HZ)
    lines = [
        ("a", "a.wav", "3.0", "p1", "1", "30", "male"),
        ("copy", "copy.wav", "3.0", "p2", "2", "31", "male"),
        ("near", "near.ogg", "2.95", "p3", "3", "32", ""),
        ("b", "b.wav", "9.0", "p4", "1", "430", "wizard"),
        ("c", "c.wav", "3.0", "p4", "2", "", ""),
        ("gone", "gone.wav", "3.0", "p5", "1", "", ""),
    ]
    with open(tmp_path / "recordings.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["recording_id", "path", "duration_s", "group_id", "fold", "age", "sex"])
        writer.writerows(lines)
    return tmp_path


def test_every_kind_of_problem_is_found_and_nothing_else(folder: Path, bundle: Bundle) -> None:
    problems = validate(Manifest.open(folder), bundle=bundle)
    assert {(p.recording_id, p.code) for p in problems} == {
        ("copy", "duplicate_audio"),
        ("near", "near_duplicate_audio"),
        ("b", "wrong_duration"),
        ("b", "impossible_age"),
        ("b", "unknown_code"),
        ("c", "subject_in_two_splits"),
        ("gone", "missing_file"),
    }


def test_what_waits_to_be_compared_may_wait_on_the_disk(
    folder: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All loudest seconds were in memory: 32 GB of a million."""
    manifest = Manifest.open(folder)
    expected = validate(manifest, bundle=bundle)
    monkeypatch.setattr("cough.validation.IN_MEMORY_BYTES", 1)
    assert validate(manifest, bundle=bundle) == expected
    monkeypatch.setattr("tempfile.tempdir", str(folder / "nowhere"))
    with pytest.raises(errors.OutputUnwritable, match="TMPDIR"):
        validate(manifest, bundle=bundle)
    assert {p.code for p in validate(manifest)} < {p.code for p in expected}


def test_without_audio_only_cells_and_splits_are_checked(folder: Path) -> None:
    codes = {p.code for p in validate(Manifest.open(folder))}
    assert codes == {"impossible_age", "unknown_code", "subject_in_two_splits"}


def test_groups_folds_words_and_surplus_cells(tmp_path: Path) -> None:
    """A group of two people in two folds, a fold that is none, and a comma too many in one line of ten."""
    header = "recording_id,path,subject_id,group_id,fold,sex,covid_evidence"
    lines = [
        "a,a.wav,A,G,1,M,pcr_lab_verified",
        "b,b.wav,B,G,5,f,guessed",
        "c,c.wav,C,C,9,,",
        "d,d.wav,D,D,2,,,",
    ]
    file = tmp_path / "recordings.csv"
    file.write_text("\n".join([header, *lines]) + "\n")
    manifest = Manifest.open(file)
    problems = validate(manifest)
    assert [(p.recording_id, p.code) for p in problems] == [
        ("a", "unknown_code"),
        ("b", "unknown_code"),
        ("b", "unknown_code"),
        ("b", "group_in_two_splits"),
        ("c", "unknown_code"),
        ("d", "bad_cell"),
    ]
    assert write_fixed(manifest, problems, tmp_path / "fixed.csv") == (1, 3)
    assert "a,a.wav,A,G,1,male,pcr_lab_verified" in (tmp_path / "fixed.csv").read_text()
    with pytest.raises(errors.ManifestInvalid, match="Line 5 has more cells"):
        list(manifest.rows())


def test_a_fixed_manifest_is_a_new_file_and_has_no_problem(folder: Path, bundle: Bundle) -> None:
    manifest = Manifest.open(folder)
    before = (folder / "recordings.csv").read_bytes()
    problems = validate(manifest, bundle=bundle)
    assert write_fixed(manifest, problems, folder / "fixed.csv") == (1, 4)
    assert (folder / "recordings.csv").read_bytes() == before
    fixed = Manifest.open(folder / "fixed.csv")
    assert [row.recording.recording_id for row in fixed.rows()] == ["a", "b"]
    assert validate(fixed, bundle=bundle) == []
    with pytest.raises(errors.ManifestInvalid):
        write_fixed(manifest, problems, folder / "fixed.csv")


def test_silence_is_no_copy_of_silence(tmp_path: Path, bundle: Bundle) -> None:
    for name in ("a", "b"):
        soundfile.write(tmp_path / f"{name}.wav", np.zeros(RATE_HZ, np.float32), RATE_HZ)
    (tmp_path / "recordings.csv").write_text("recording_id,path,group_id\na,a.wav,1\nb,b.wav,2\n")
    assert validate(Manifest.open(tmp_path), bundle=bundle) == []


def test_no_recording_is_left_out_for_what_nobody_need_say_of_it(tmp_path: Path, bundle: Bundle) -> None:
    soundfile.write(tmp_path / "a.wav", sound(1), RATE_HZ)
    sha256 = hashlib.sha256(decode(tmp_path / "a.wav").samples.tobytes()).hexdigest().upper()
    header = ["recording_id", "path", "duration_s", "pcm_sha256", "age", "covid_status", "fold"]
    lines = [
        ["a", "a.wav", "NA", sha256, "NA", "", ""],
        ["b", "a.wav", "long", "", "nan", "positive", ""],
        ["c", "a.wav", "-1", "n/a", "unknown", "n/a", "NA"],
        ["d", "gone.wav", "long", "", "", "", ""],
    ]
    with open(tmp_path / "recordings.csv", "w", newline="") as file:
        csv.writer(file).writerows([header, *lines])
    manifest = Manifest.open(tmp_path)
    problems = [p for p in validate(manifest, bundle=bundle) if p.code != "duplicate_audio"]
    assert [(p.recording_id, p.code, p.change) for p in problems] == [
        ("b", "bad_cell", {"duration_s": ""}),
        ("c", "bad_cell", {"duration_s": ""}),
        ("c", "unknown_code", {"covid_status": ""}),
        ("c", "unknown_code", {"fold": ""}),
        ("d", "bad_cell", {"duration_s": ""}),
        ("d", "missing_file", None),
    ]
    assert write_fixed(manifest, problems, tmp_path / "fixed.csv") == (2, 1)
    assert [row.recording.recording_id for row in Manifest.open(tmp_path / "fixed.csv").rows()] == list("abc")
