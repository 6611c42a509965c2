"""Every recipe on a miniature of its corpus, and on what ../shared/corpus has of it."""

from __future__ import annotations

import csv
import importlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cough import errors
from cough.manifest import Manifest
from cough.validation import validate
from tests.cough.test_cli import run
from tests.training.corpora.layouts import LAYOUTS
from tests.training.corpora.miniature import sound, table
from training.corpora import dataset
from training.corpora.form import ALL_FOLDS, COLUMNS, FEW, Prepared, fold_of, prepare
from training.corpus import Corpus

Line = dict[str, str]


def state(folder: Path) -> list[tuple[str, int, int]]:
    """Everything in a folder, with size and time."""
    return sorted((str(p), p.lstat().st_size, p.lstat().st_mtime_ns) for p in folder.rglob("*"))


def lines(prepared: Path, *, file: str = "recordings.csv") -> dict[str, Line]:
    with open(prepared / file, newline="") as text:
        return {row["recording_id"]: row for row in csv.DictReader(text)}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Path, Prepared]]:
    """(the folder a user has, the prepared one, what was said) of a layout; made once."""
    done: dict[str, tuple[Path, Path, Prepared]] = {}

    def make(layout: str) -> tuple[Path, Path, Prepared]:
        if layout not in done:
            folder = tmp_path_factory.mktemp(layout)
            name, maker = LAYOUTS[layout]
            raw = maker(folder / "raw")
            before = state(raw)
            prepared = prepare(name, raw, folder / "prepared")
            assert state(raw) == before
            done[layout] = raw, folder / "prepared", prepared
        return done[layout]

    return make


def test_every_corpus_has_a_recipe_and_a_miniature() -> None:
    assert {name for name, _ in LAYOUTS.values()} == set(dataset.datasets())
    for name in dataset.datasets():
        recipe = importlib.import_module(f"training.corpora.{name}")
        assert recipe.__doc__ and ("http" in recipe.__doc__ or "dataset.yaml" in recipe.__doc__)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_it_has_the_one_form(layout: str, made: Callable[[str], tuple[Path, Path, Prepared]]) -> None:
    _, out, prepared = made(layout)
    corpus, found = Corpus.read(out), lines(out)
    assert len(corpus.recordings) == prepared.recordings == len(found)
    for name, line in found.items():
        assert tuple(line)[: len(COLUMNS)] == COLUMNS
        assert int(line["fold"]) in ALL_FOLDS
        assert float(line["duration_s"]) > 0.3
        assert (out / line["path"]).is_file() and ".." not in line["path"]
        assert len(line["pcm_sha256"]) == 64
        assert line["licence"] and line["event"] and name.startswith(line["source"])
    rows = list(Manifest.open(out).rows())
    assert {row.recording.recording_id for row in rows} == set(found)
    codes = {problem.code for problem in validate(Manifest.open(out))}
    assert codes <= {"duplicate_audio"}, codes


@pytest.mark.parametrize("layout", LAYOUTS)
def test_nobody_is_in_two_folds(layout: str, made: Callable[[str], tuple[Path, Path, Prepared]]) -> None:
    _, out, _ = made(layout)
    for key in ("group_id", "subject_id", "pcm_sha256"):
        folds: dict[str, set[str]] = {}
        for line in lines(out).values():
            if line[key] != "unknown":
                folds.setdefault(line[key], set()).add(line["fold"])
        assert all(len(found) == 1 for found in folds.values())


def by(out: Path, column: str) -> dict[str, list[str]]:
    """Recordings by the value of a column."""
    found: dict[str, list[str]] = {}
    for name, line in lines(out).items():
        found.setdefault(line[column], []).append(name)
    return found


def test_esc50_keeps_its_folds_and_licences(made: Callable[[str], tuple[Path, Path, Prepared]]) -> None:
    found = lines(made("esc50")[1])
    assert found["esc50_5-250629-A-24"]["fold"] == "5"
    assert found["esc50_3-127890-A-23"]["group_id"] == found["esc50_3-127890-B-23"]["group_id"]
    assert found["esc50_1-100032-A-0"]["licence_class"] == "open"
    assert found["esc50_1-19111-A-24"]["licence_class"] == "non_commercial"
    assert [found[f"esc50_{key}"]["event"] for key in ("1-19111-A-24", "4-167642-A-21", "1-100032-A-0")] == [
        "cough", "sneeze", "dog_bark",
    ]  # fmt: skip


@pytest.mark.parametrize("version", [1, 2, 3])
def test_coughvid_versions(made: Callable[[str], tuple[Path, Path, Prepared]], version: int) -> None:
    out = made(f"coughvid_v{version}")[1]
    found = lines(out)
    first = found["coughvid_00014dcc-f06d-4c27-8c7b-737b18a2cf4c"]
    expected = {
        "event": "cough",
        "covid_status": "positive",
        "covid_evidence": "self_report",
        "sex": "female",
        "age": "43",
        "date": "2020-04-10",
        "latitude": "48.9",
        "respiratory_condition": "True",
        "quality_1": "ok",
        "subject_id": "unknown",
    }
    assert expected.items() <= first.items()
    assert by(out, "event")["unlabelled"] == [
        "coughvid_0007c6f1-5441-40e6-9aaf-a761d8f2da3b",  # the detector is not sure
        "coughvid_001328dc-ea5d-4847-9ccf-c5aa2a3f2d0f",  # a physician heard no cough
    ]
    assert set(by(out, "covid_status")) == {"positive", "negative", "symptomatic", ""}
    assert ("SNR" in first, "status_SSL" in first) == (version > 1, version == 3)


def test_coswara(made: Callable[[str], tuple[Path, Path, Prepared]]) -> None:
    out = made("coswara")[1]
    found = lines(out)
    assert len(found) == 4 * 9 - 1
    bad = found["coswara_AxuYWBN0jFVLINCBqIW5aZmGCdu1_cough-heavy"]
    assert (bad["event"], bad["quality"], bad["covid_status"]) == ("unlabelled", "0", "positive")
    assert set(by(out, "event")) == {"cough", "breathing", "speech", "sustained_vowel", "unlabelled"}
    well = found["coswara_iV3Db6t1T8b7c5HQY2TwxIhjbzD3_cough-shallow"]
    expected = {
        "covid_status": "negative",
        "age": "28",
        "sex": "male",
        "date": "2020-04-23",
        "country": "India",
    }
    assert expected.items() <= well.items()
    assert found["coswara_C5eIsssb9GSkaAgIfsHMHeR6fSh1_vowel-a"]["asymptomatic"] == "1"
    assert "recovered" in by(out, "covid_status")
    assert len(by(out, "subject_id")) == 4


def test_covid19_cough_finds_one_sound_under_both_labels(
    made: Callable[[str], tuple[Path, Path, Prepared]],
) -> None:
    out = made("covid19_cough")[1]
    found = lines(out)
    assert sorted(line["label_conflict"] for line in found.values()) == ["0", "0", "1", "1"]
    evidence = {line["covid_evidence"] for line in found.values()}
    assert evidence == {"pcr_lab_verified", "self_report", "unverified"}
    assert set(by(out, "channel")) == {"call-center", "telegram"}
    problems = lines(out, file="problems.csv")
    assert [problem["code"] for problem in problems.values()] == ["file_missing"]
    assert json.loads((out / "prepared.json").read_text())["problems"] == 1


def test_virufy_takes_single_coughs_by_patient(made: Callable[[str], tuple[Path, Path, Prepared]]) -> None:
    out = made("virufy")[1]
    assert [len(names) for names in by(out, "subject_id").values()] == [2, 1]
    assert {line["licence_class"] for line in lines(out).values()} == {"non_commercial"}


def test_fsd50k(made: Callable[[str], tuple[Path, Path, Prepared]]) -> None:
    found = lines(made("fsd50k")[1])
    assert {name: line["event"] for name, line in found.items()} == {
        "fsd50k_16399": "laughter",
        "fsd50k_20001": "sneeze",
        "fsd50k_37199": "cough",
        "fsd50k_64760": "cough",
    }
    assert found["fsd50k_37199"]["fold"] == "5"
    assert found["fsd50k_64760"]["fold"] != "5"
    assert found["fsd50k_64760"]["group_id"] == found["fsd50k_16399"]["group_id"]
    assert {line["licence"] for line in found.values()} == {
        "CC BY 3.0", "CC BY-NC 3.0", "CC0 1.0", "CC Sampling+ 1.0",
    }  # fmt: skip


def test_those_by_agreement(made: Callable[[str], tuple[Path, Path, Prepared]]) -> None:
    dicova = lines(made("dicova1")[1])
    assert dicova["dicova1_rAKaNjve_cough"]["covid_status"] == "positive"
    assert set(by(made("dicova2")[1], "event")) == {"breathing", "cough", "speech"}
    sounds = made("covid19_sounds")[1]
    assert set(by(sounds, "covid_status")) == {"positive", "recovered", "negative", "unknown"}
    assert {line["event"] for line in lines(sounds).values() if line["check"] == "n"} == {"unlabelled"}
    assert sorted(by(sounds, "subject_id")) == ["covid19_sounds:0A0ULgZntg", "unknown"]
    assert len(by(sounds, "group_id")) == 3
    uk = lines(made("uk_covid19")[1])
    assert {line["fold"] == "5" for line in uk.values() if line["subject_id"].endswith("P0002")} == {True}
    assert "5" not in {line["fold"] for line in uk.values() if not line["subject_id"].endswith("P0002")}
    assert set(by(made("uk_covid19")[1], "covid_evidence")) == {"pcr_lab_verified", "lab_verified"}
    coda = lines(made("coda_tb")[1])
    assert {line["tb_status"] for line in coda.values()} == {"positive", "negative"}
    assert {line["channel"] for line in coda.values()} == {"solicited", "longitudinal"}
    assert coda["coda_tb_longitudinal_1636453200000-recording-1"]["country"] == "Vietnam"


def test_flusense_and_aicv115m(made: Callable[[str], tuple[Path, Path, Prepared]]) -> None:
    clips = lines(made("flusense")[1])
    assert clips["flusense_-9jpjShrNGs_20_000-30_000"]["cough_intervals"] == "0.400-0.900"
    assert [line["event"] for line in clips.values()] == ["cough", "speech", "throat_clearing"]
    assert len(by(made("flusense")[1], "group_id")) == 2
    assert set(by(made("aicv115m")[1], "covid_status")) == {"positive", "negative", "unknown", ""}


def test_preparing_again_gives_the_same_bytes(
    made: Callable[[str], tuple[Path, Path, Prepared]], tmp_path: Path
) -> None:
    raw, out, _ = made("coswara")
    first = (out / "recordings.csv").read_bytes()
    prepare("coswara", raw, out)
    prepare("coswara", raw, tmp_path / "elsewhere")
    assert (out / "recordings.csv").read_bytes() == first
    assert (tmp_path / "elsewhere" / "recordings.csv").read_bytes() == first
    moved = shutil.copytree(raw, tmp_path / "moved")
    prepare("coswara", moved, tmp_path / "again")
    assert (tmp_path / "again" / "recordings.csv").read_bytes() == first


def test_many_files_are_decoded_by_processes(tmp_path: Path) -> None:
    names = [f"person{i:03}_cough" for i in range(FEW + 1)]
    folder = tmp_path / "raw" / "AUDIO"
    sound(folder / f"{names[0]}.flac", seed=1)
    for name in names[1:-1]:
        os.link(folder / f"{names[0]}.flac", folder / f"{name}.flac")
    (folder / f"{names[-1]}.flac").write_bytes(b"not audio at all" * 100)
    rows = [(name, "n", "m", "") for name in names]
    table(tmp_path / "raw" / "metadata.csv", ("File_name", "Covid_status", "Gender", "Nationality"), rows)
    seen: list[tuple[int, int]] = []
    made = prepare(
        "dicova1", tmp_path / "raw", tmp_path / "out", workers=2, progress=lambda *n: seen.append(n)
    )
    assert (made.recordings, made.problems) == (FEW, 1)
    assert seen[-1] == (FEW + 1, FEW + 1)
    assert len(by(tmp_path / "out", "group_id")) == 1  # one sound, sixty-four names


@pytest.mark.parametrize("name", [name for name, _ in LAYOUTS.values() if name != "coughvid"])
def test_another_folder_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "notes.csv").write_text("a,b\n1,2\n")
    for folder in (tmp_path / "raw", tmp_path / "nowhere"):
        with pytest.raises(errors.LayoutUnknown):
            prepare(name, folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_tables_that_lie(tmp_path: Path) -> None:
    raw = LAYOUTS["covid19_cough"][1](tmp_path / "raw")
    metadata = next(raw.rglob("metadata.json"))
    entries = json.loads(metadata.read_text())
    metadata.write_text(json.dumps([{**entries[0], "filename": "../../../../secret.mp3"}]))
    with pytest.raises(errors.LayoutUnknown, match="outside"):
        prepare("covid19_cough", raw, tmp_path / "out")
    for content in ("[", '{"a": 1}', "[1]"):
        metadata.write_text(content)
        with pytest.raises(errors.LayoutUnknown):
            prepare("covid19_cough", raw, tmp_path / "out")
    esc = LAYOUTS["esc50"][1](tmp_path / "esc")
    listed = next(esc.rglob("esc50.csv"))
    for content in (b"\xff\xfe\x00", b"filename,fold\nx.wav,1\n", b""):
        listed.write_bytes(content)
        with pytest.raises(errors.LayoutUnknown):
            prepare("esc50", esc, tmp_path / "out")


def test_nothing_is_written_where_it_should_not(tmp_path: Path) -> None:
    raw = LAYOUTS["dicova1"][1](tmp_path / "raw")
    with pytest.raises(errors.CorpusError, match="inside"):
        prepare("dicova1", raw, raw / "out")
    (tmp_path / "out" / "audio").mkdir(parents=True)
    (tmp_path / "out" / "audio" / "mine.wav").write_bytes(b"mine")
    with pytest.raises(errors.CorpusError, match="not made by"):
        prepare("dicova1", raw, tmp_path / "out")
    assert (tmp_path / "out" / "audio" / "mine.wav").exists()


@given(st.text(max_size=20))
def test_folds_follow_from_the_name_alone(name: str) -> None:
    assert fold_of(name) in ALL_FOLDS
    assert fold_of(name, (5,)) == 5
    assert fold_of(name) == fold_of(name)


def test_folds_are_even_and_stay_what_they_are() -> None:
    counts = [sum(fold_of(f"coughvid:{i}") == fold for i in range(5_000)) for fold in ALL_FOLDS]
    assert min(counts) > 920
    assert [fold_of(f"coswara:{i}") for i in range(6)] == FOLDS


FOLDS = [4, 5, 3, 5, 5, 2]


def test_the_command(tmp_path: Path) -> None:
    raw = LAYOUTS["esc50"][1](tmp_path / "raw")
    done = run("data", "prepare", "esc-50".replace("-", ""), raw, "-o", tmp_path / "out")
    assert done.returncode == 0
    assert "7 recordings" in done.stdout
    assert "       3 cough" in done.stdout
    assert "Freesound" in done.stderr
    assert (tmp_path / "out" / "recordings.csv").exists()
    done = run("data", "prepare", "coswara", raw, "-o", tmp_path / "no")
    assert (done.returncode, done.stdout) == (1, "")
    assert "layout_unknown" in done.stderr
    assert run("data", "prepare", "nothing", raw).returncode == 2


def mirror(corpus: Corpus, source: str, keep: int) -> list[tuple[Line, Path]]:
    """Some rows of a source in ../shared/corpus, with their files."""
    with open(corpus.root / "recordings.csv", newline="") as text:
        rows = [row for row in csv.DictReader(text) if row["source"] == source]
    step = max(1, len(rows) // keep)
    return [(row, corpus.root / row["path"]) for row in rows[::step]]


@pytest.mark.corpus
def test_esc50_comes_out_as_in_the_shared_corpus(corpus: Corpus, tmp_path: Path) -> None:
    """The publisher's layout made of real clips: fold, group, event and licence are those of the corpus."""
    clips = mirror(corpus, "esc50", 400)
    rows, expected = [], {}
    for row, path in clips:
        name = row["upstream"].rsplit("/", 1)[-1]
        fold, clip, take, target = name.removesuffix(".wav").split("-")
        rows.append((name, fold, target, row["sublabel"], row["licence_class"] == "open", clip, take))
        (tmp_path / "raw" / "audio").mkdir(parents=True, exist_ok=True)
        (tmp_path / "raw" / "audio" / name).symlink_to(path)
        expected[f"esc50_{name.removesuffix('.wav')}"] = row
    header = ("filename", "fold", "target", "category", "esc10", "src_file", "take")
    table(tmp_path / "raw" / "meta" / "esc50.csv", header, rows)
    prepare("esc50", tmp_path / "raw", tmp_path / "out")
    found = lines(tmp_path / "out")
    assert set(found) == set(expected)
    for name, row in expected.items():
        line = found[name]
        for column in ("fold", "event", "sublabel", "source", "licence", "licence_class", "label_conflict"):
            assert line[column] == row[column], (name, column)
        assert line["group_id"] == row["group_id"]
        assert float(line["duration_s"]) == pytest.approx(float(row["duration_s"]), abs=0.02)


@pytest.mark.corpus
def test_covid19_cough_comes_out_as_in_the_shared_corpus(corpus: Corpus, tmp_path: Path) -> None:
    clips = mirror(corpus, "ru_covid19_cough", 400)
    entries = []
    (tmp_path / "raw" / "raw").mkdir(parents=True)
    for row, path in clips:
        name = row["upstream"].rsplit("/", 1)[-1]
        entry: dict[str, object] = {
            "filename": name, "covid19": {"positive": True, "negative": False}[row["covid_status"]],
            "source": row["channel"], "start_at": 50.0, "end_at": 51.0, "comment": None,
        }  # fmt: skip
        if row["covid_evidence"] == "pcr_lab_verified":
            entry["verified"] = True
        if row["asymptomatic"]:
            entry["asymptomatic"] = row["asymptomatic"] == "1"
        entries.append(entry)
        (tmp_path / "raw" / "raw" / name).symlink_to(path)
    (tmp_path / "raw" / "metadata.json").write_text(json.dumps(entries))
    prepare("covid19_cough", tmp_path / "raw", tmp_path / "out")
    found = {line["upstream"].rsplit("/", 1)[-1]: line for line in lines(tmp_path / "out").values()}
    assert len(found) == len(clips)
    for row, _ in clips:
        line = found[row["upstream"].rsplit("/", 1)[-1]]
        columns = ("event", "source", "channel", "covid_status", "covid_evidence", "asymptomatic", "licence")
        assert {c: line[c] for c in columns} == {c: row[c] for c in columns}


@pytest.mark.corpus
def test_coswara_by_the_table_of_the_shared_corpus(corpus: Corpus, tmp_path: Path) -> None:
    """The real participant table: statuses, ages and dates of everybody, with one made-up sound each."""
    tables = corpus.root / "metadata" / "coswara_metadata.csv"
    raw = tmp_path / "raw"
    sound(tmp_path / "one.wav", seed=0)
    with open(tables, newline="") as text:
        people = list(csv.DictReader(text))[::40]
    for person in people:
        folder = raw / "Extracted_data" / person["record_date"].replace("-", "") / person["id"]
        folder.mkdir(parents=True)
        os.link(tmp_path / "one.wav", folder / "cough-heavy.wav")
    (raw / "combined_data.csv").symlink_to(tables)
    prepare("coswara", raw, tmp_path / "out", workers=1)
    found = lines(tmp_path / "out")
    assert len(found) == len(people) > 50
    assert {line["covid_status"] for line in found.values()} >= {"positive", "negative", "recovered"}
    codes = {p.code for p in validate(Manifest.open(tmp_path / "out"))}
    assert codes <= {"duplicate_audio", "copy_under_two_subjects", "label_conflict"}
