"""What real downloads do to a recipe: silence, missing folders, two versions, contradictions, crashes."""

from __future__ import annotations

import csv
import json
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from cough import errors
from tests.training.corpora.layouts import LAYOUTS
from tests.training.corpora.miniature import sound, table
from training.corpora.form import FEW, prepare
from training.joined import read_corpora

Line = dict[str, str]


def raw(layout: str, folder: Path) -> Path:
    return LAYOUTS[layout][1](folder / "raw")


def lines(prepared: Path, file: str = "recordings.csv") -> list[Line]:
    with open(prepared / file, newline="") as text:
        return list(csv.DictReader(text))


def test_silence_is_no_copy_of_silence(tmp_path: Path) -> None:
    """People who recorded nothing are not one person, and their statuses do not contradict each other."""
    corpus = raw("coswara", tmp_path)
    silent = sorted(corpus.rglob("vowel-a.wav"))
    for path in silent:
        soundfile.write(path, np.zeros(8_000, np.int16), 16_000)
    prepare("coswara", corpus, tmp_path / "out")
    rows = lines(tmp_path / "out")
    vowels = [row for row in rows if row["sublabel"] == "coswara:vowel-a"]
    assert len(vowels) == len(silent) > 1
    assert len({row["group_id"] for row in vowels}) == len({row["subject_id"] for row in vowels}) > 1
    assert {row["label_conflict"] for row in vowels} == {"0"}
    assert {row["pcm_sha256"] for row in vowels} == {""}


@pytest.mark.parametrize(
    "layout", ["coswara", "uk_covid19", "aicv115m", "coda_tb", "covid19_sounds", "dicova2"]
)
def test_what_the_table_lists_and_nobody_has_is_a_problem_by_name(layout: str, tmp_path: Path) -> None:
    corpus = raw(layout, tmp_path)
    before = prepare(layout, corpus, tmp_path / "whole")
    gone = sorted(path for path in corpus.rglob("*") if path.suffix in (".wav", ".flac", ".webm"))[0]
    gone.unlink()
    after = prepare(layout, corpus, tmp_path / "less")
    assert (after.recordings, after.problems) == (before.recordings - 1, before.problems + 1)
    assert "file_missing" in {row["code"] for row in lines(tmp_path / "less", "problems.csv")}


def test_the_later_test_people_of_uk_covid19_are_tested_too(tmp_path: Path) -> None:
    corpus = raw("uk_covid19", tmp_path)
    split = corpus / "train_test_splits.csv"
    split.write_text(split.read_text().replace("P0003,val", "P0003,long"))
    prepare("uk_covid19", corpus, tmp_path / "out")
    folds = {row["subject_id"]: row["fold"] for row in lines(tmp_path / "out")}
    assert folds["uk_covid19:P0002"] == folds["uk_covid19:P0003"] == "5" != folds["uk_covid19:P0001"]


def test_two_versions_in_one_folder_are_not_chosen_between(tmp_path: Path) -> None:
    for version in (1, 3):
        LAYOUTS[f"coughvid_v{version}"][1](tmp_path / "raw" / f"v{version}")
    with pytest.raises(
        errors.LayoutUnknown, match=r"metadata_compiled.csv in .* and .*give the folder of one"
    ):
        prepare("coughvid", tmp_path / "raw", tmp_path / "out")


def test_one_file_under_both_labels_is_a_conflict(tmp_path: Path) -> None:
    corpus = raw("covid19_cough", tmp_path)
    metadata = next(corpus.rglob("metadata.json"))
    entries = json.loads(metadata.read_text())
    first = next(e for e in entries if e.get("covid19") is True)
    metadata.write_text(json.dumps([*entries, {**first, "covid19": False}]))
    prepare("covid19_cough", corpus, tmp_path / "out")
    name = Path(first["filename"]).name
    (row,) = [row for row in lines(tmp_path / "out") if row["upstream"].endswith(name)]
    assert row["label_conflict"] == "1"


def test_a_folder_called_segmented_above_the_corpus_means_nothing(tmp_path: Path) -> None:
    plain, below = raw("virufy", tmp_path), raw("virufy", tmp_path / "segmented")
    prepare("virufy", plain, tmp_path / "a")
    prepare("virufy", below, tmp_path / "b")
    assert [row["recording_id"] for row in lines(tmp_path / "a")] == [
        row["recording_id"] for row in lines(tmp_path / "b")
    ]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds the process in /proc")
def test_a_process_that_dies_costs_no_recording(tmp_path: Path) -> None:
    names = [f"person{i:03}_cough" for i in range(2 * FEW)]
    folder = tmp_path / "raw" / "AUDIO"
    sound(folder / f"{names[0]}.flac", seed=1)
    for name in names[1:]:
        os.link(folder / f"{names[0]}.flac", folder / f"{name}.flac")
    columns = ("File_name", "Covid_status", "Gender", "Nationality")
    table(tmp_path / "raw" / "metadata.csv", columns, [(name, "n", "m", "") for name in names])
    killed: list[int] = []

    def kill_one() -> None:
        while not killed:
            time.sleep(0.01)
            for task in Path("/proc/self/task").iterdir():
                for child in (task / "children").read_text().split():
                    if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                        os.kill(int(child), signal.SIGKILL)
                        killed.append(int(child))
                        return

    killer = threading.Thread(target=kill_one)
    killer.start()
    made = prepare("dicova1", tmp_path / "raw", tmp_path / "out", workers=2)
    killer.join()
    assert killed
    assert (made.recordings, made.problems) == (len(names), 0)


def prepared(folder: Path, name: str, rows: list[Line]) -> Path:
    """A corpus of these lines, without its audio."""
    columns = (
        "recording_id", "path", "duration_s", "event", "sublabel", "source", "channel", "group_id", "fold",
        "covid_status", "covid_evidence", "label_conflict", "licence", "licence_class", "upstream",
        "pcm_sha256", "original",
    )  # fmt: skip
    blank = dict.fromkeys(columns, "") | {"duration_s": "1", "source": name}
    full = [blank | row for row in rows]
    table(folder / name / "recordings.csv", columns, [tuple(row[c] for c in columns) for row in full])
    return folder / name


def test_cuts_of_one_original_are_never_learnt_and_tested(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """ESC-50 and FSD50K cut the same Freesound sounds, each with folds of its own."""
    esc = [
        {"recording_id": "e1", "group_id": "fs_64760", "fold": "5", "original": "fs_64760"},
        {"recording_id": "e2", "group_id": "fs_7", "fold": "2", "original": "fs_7"},
        {"recording_id": "e3", "group_id": "fs_8", "fold": "1", "pcm_sha256": "ab"},
    ]
    fsd = [
        {"recording_id": "f1", "group_id": "fsd50k:uploader_x", "fold": "1", "original": "fs_64760"},
        {"recording_id": "f2", "group_id": "fsd50k:uploader_x", "fold": "1", "original": "fs_1"},
        {"recording_id": "f3", "group_id": "fsd50k:uploader_y", "fold": "5", "pcm_sha256": "ab"},
        {"recording_id": "f4", "group_id": "fsd50k:uploader_z", "fold": "3"},
    ]
    roots = [prepared(tmp_path, "esc50", esc), prepared(tmp_path, "fsd50k", fsd)]
    found = {r.recording_id: r for r in read_corpora(roots).recordings}
    assert {name: r.fold for name, r in found.items()} == {
        "e1": 5, "f1": 5, "f2": 5, "e2": 2, "e3": 5, "f3": 5, "f4": 3,
    }  # fmt: skip
    assert found["e1"].group_id == found["f2"].group_id != found["e2"].group_id
    assert "3 recordings changed the fold" in capsys.readouterr().out


def test_a_table_saved_by_a_spreadsheet_is_read_and_a_lost_file_is_named(tmp_path: Path) -> None:
    root = prepared(tmp_path, "own", [{"recording_id": "a", "path": "a.wav", "group_id": "g", "fold": "1"}])
    file = root / "recordings.csv"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    corpus = read_corpora([root])
    with pytest.raises(errors.LayoutUnknown, match=r"a\.wav"):
        _ = corpus.data_hash
