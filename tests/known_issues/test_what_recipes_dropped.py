"""What tables and file names of public corpora tell, and their recipes dropped or took for something else."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.training.corpora.layouts import LAYOUTS
from training.corpora.form import prepare

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
