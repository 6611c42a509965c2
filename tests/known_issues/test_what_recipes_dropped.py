"""What tables and file names of public corpora tell, and their recipes dropped or took for something else."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import pytest

from cough.bundle import Bundle
from cough.manifest import Manifest
from cough.validation import validate
from tests.training.corpora.layouts import LAYOUTS
from training.corpora.form import prepare
from training.corpora.tables import ticks

Line = dict[str, str]


def prepared(corpus: str, raw: Path) -> dict[str, Line]:
    """Rows of the prepared corpus by their name."""
    prepare(corpus, raw, raw.parent / "out")
    with open(raw.parent / "out" / "recordings.csv", newline="") as file:
        return {row["recording_id"]: row for row in csv.DictReader(file)}


def made(corpus: str, folder: Path) -> Path:
    """The miniature of a corpus, in ``folder``."""
    return LAYOUTS[corpus][1](folder / "raw")


def test_a_call_says_when_and_how_it_was(tmp_path: Path) -> None:
    """Both follow the status in the call centre, and nobody could see that."""
    found = prepared("covid19_cough", made("covid19_cough", tmp_path))
    columns = ("call_start_s", "call_end_s", "call_kind", "comment")
    cells = {name: tuple(row[c] for c in columns) for name, row in found.items()}
    assert cells["ru_covid19_cough_214f9bee-4ecc-4b1d-81ac-9715e12c8be7"] == (
        "54.908", "56.875", "исх рандом", "",
    )  # fmt: skip
    assert cells["ru_covid19_cough_60ab9383-73c9-444c-b80f-1e9abeb12449"][2] == ""


@pytest.mark.parametrize(
    ("comment", "status", "evidence"),
    [
        ("уже переболела", "recovered", "self_report"),
        ("Переболел, симптомы были все", "recovered", "self_report"),
        ("не переболела", "negative", "unverified"),
        ("просто кашель иногда", "negative", "unverified"),
        (None, "negative", "unverified"),
    ],
)
def test_who_had_it_already_is_no_negative(
    tmp_path: Path, comment: str | None, status: str, evidence: str
) -> None:
    raw = made("covid19_cough", tmp_path)
    metadata = next(raw.rglob("metadata.json"))
    entries = json.loads(metadata.read_text())
    entries[1]["comment"] = entries[0]["comment"] = comment
    metadata.write_text(json.dumps(entries))
    rows = prepared("covid19_cough", raw)
    row = rows["ru_covid19_cough_214f9bee-4ecc-4b1d-81ac-9715e12c8be7"]
    assert (row["covid_status"], row["covid_evidence"]) == (status, evidence)
    # A laboratory found this one positive, whatever was said.
    assert rows["ru_covid19_cough_60ab9383-73c9-444c-b80f-1e9abeb12449"]["covid_status"] == "positive"


def test_coda_tb_keeps_the_time_that_its_file_names_tell(tmp_path: Path) -> None:
    raw = made("coda_tb", tmp_path)
    (odd,) = raw.rglob("1636453126001-recording-2.wav")
    odd.rename(odd.with_name("cough-2.wav"))
    (table,) = raw.rglob("CODA_TB_Solicited_Meta_Info.csv")
    table.write_text(table.read_text().replace(odd.name, "cough-2.wav"))
    found = prepared("coda_tb", raw)
    assert {name: row["date"] for name, row in found.items()} == {
        "coda_tb_solicited_1636453126000-recording-1": "2021-11-09T10:18:46+00:00",
        "coda_tb_solicited_cough-2": "",
        "coda_tb_solicited_1636453126002-recording-1": "2021-11-09T10:18:46+00:00",
        "coda_tb_longitudinal_1636453200000-recording-1": "2021-11-09T10:20:00+00:00",
    }


@pytest.mark.parametrize(
    ("method", "evidence"),
    [
        ("PCR", "pcr_lab_verified"),
        ("LAMP", "lab_verified"),
        ("LFT", "unverified"),
        ("Unknown", "unverified"),
        ("", "unverified"),
    ],
)
def test_only_a_laboratory_makes_a_result_lab_verified(tmp_path: Path, method: str, evidence: str) -> None:
    raw = made("uk_covid19", tmp_path)
    (table,) = raw.rglob("participant_metadata.csv")
    table.write_text(table.read_text().replace("Positive,PCR,", f"Positive,{method},"))
    rows = prepared("uk_covid19", raw)
    assert {row["covid_evidence"] for row in rows.values() if "P0001" in row["subject_id"]} == {evidence}


def test_one_sound_under_both_labels_of_any_condition_is_a_conflict(tmp_path: Path, bundle: Bundle) -> None:
    raw = made("coda_tb", tmp_path)
    first, _, third, later = sorted(raw.rglob("*-recording-*.wav"))
    third.write_bytes(first.read_bytes())
    found = prepared("coda_tb", raw)
    torn = {Path(row["path"]).name for row in found.values() if row["label_conflict"] == "1"}
    assert torn == {first.name, third.name}
    assert len(found) == 4
    assert later.name not in torn
    codes = {p.code for p in validate(Manifest.open(tmp_path / "out"), bundle=bundle)}
    assert "label_conflict" not in codes  # said already


@pytest.mark.parametrize(
    ("content", "event", "intervals"),
    [
        (b"", "unlabelled", ""),
        (b'"ooTextFile"\n"TextGrid"\n0\n1.2\n0\n1.2\n"cough"\n', "unlabelled", ""),
        (b'xmin = 0 \n xmax = 1.2 \n text = "" \n', "unlabelled", ""),
        (b'xmin = 0 \n xmax = 1.2 \n text = "etc" \n', "other", ""),
        ('xmin = 0 \n xmax = 1.2 \n text = "cough" \n'.encode("utf-16"), "cough", "0.000-1.200"),
        (
            b"\xfe\xff" + 'xmin = 0 \n xmax = 1 \n text = "cough" \n'.encode("utf-16-be"),
            "cough",
            "0.000-1.000",
        ),
    ],
    ids=["empty", "short", "blank", "etc", "utf-16", "utf-16-be"],
)
def test_a_clip_whose_marks_cannot_be_read_is_no_negative(
    tmp_path: Path, content: bytes, event: str, intervals: str
) -> None:
    raw = made("flusense", tmp_path)
    (grid,) = raw.rglob("0AWF9zOT8YY.TextGrid")
    grid.write_bytes(content)
    row = prepared("flusense", raw)["flusense_0AWF9zOT8YY"]
    assert (row["event"], row["cough_intervals"]) == (event, intervals)


def test_a_sample_submission_labels_nobody(tmp_path: Path) -> None:
    raw = made("aicv115m", tmp_path)
    before = prepared("aicv115m", raw)
    test = raw / "aicv115m_public_test"
    (uuid,) = (path.stem for path in test.rglob("*.wav"))
    (test / "sample_submission.csv").write_text(f"uuid,assessment_result\n{uuid},1\n")
    assert prepared("aicv115m", raw) == before


def test_several_answers_in_one_cell_are_one_column_each() -> None:
    cells = ["drycough,fever;Sore throat", "None", "", None, "fever,", "NA"]
    assert ticks(cells, prefix="symptom_") == [
        {"symptom_drycough": "1", "symptom_fever": "1", "symptom_sore_throat": "1"},
        {"symptom_drycough": "0", "symptom_fever": "0", "symptom_sore_throat": "0"},
        {},
        {},
        {"symptom_drycough": "0", "symptom_fever": "1", "symptom_sore_throat": "0"},
        {},
    ]
    assert ticks([], prefix="symptom_") == []


def test_symptoms_stand_apart(tmp_path: Path) -> None:
    """As one word of all a person's symptoms, they told a model next to nothing."""
    raw = made("covid19_sounds", tmp_path / "sounds")
    (table,) = raw.rglob("*_android_*.csv")
    table.write_text(table.read_text().replace("drycough", "drycough,fever", 1))
    rows = prepared("covid19_sounds", raw)
    told = Counter((row["symptom_drycough"], row["symptom_fever"]) for row in rows.values())
    assert told == {("1", "1"): 3, ("1", "0"): 9}  # one session of four has three sounds
    patients = prepared("virufy", made("virufy", tmp_path / "virufy"))
    assert {row["subject_id"][-2:]: row["symptom_shortness_of_breath"] for row in patients.values()} == {
        "53": "0", "50": "1",
    }  # fmt: skip
