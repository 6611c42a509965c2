"""``group_id`` was ignored beside the word ``unknown``: every prepared ESC-50, FSD50K and FluSense row."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from cough.evaluation.leaks import Known, leaks
from cough.evaluation.people import NOBODY
from cough.evaluation.table import join
from cough.manifest import UNKNOWN, Manifest, recording_of
from cough.validation import validate

TABLE = """recording_id,path,subject_id,group_id,fold
a,a.wav,unknown,esc50:fs_1,1
b,b.wav,unknown,esc50:fs_1,2
c,c.wav,unknown,,1
d,d.wav,p1,coswara:p1,1
e,e.wav,,virufy:p2,1
"""


@pytest.mark.parametrize(
    ("subject", "group", "expected"),
    [("unknown", "g", "g"), ("", "g", "g"), ("p", "g", "p"), ("unknown", "", UNKNOWN), ("", "", UNKNOWN)],
)
def test_the_group_stands_in_for_whom_nobody_knows(subject: str, group: str, expected: str) -> None:
    line = {"recording_id": "a", "path": "a", "subject_id": subject, "group_id": group}
    assert recording_of(line).subject_id == expected


def test_a_group_in_two_folds_is_found(tmp_path: Path) -> None:
    (tmp_path / "recordings.csv").write_text(TABLE)
    found = [(p.recording_id, p.code) for p in validate(Manifest.open(tmp_path))]
    assert found == [("b", "subject_in_two_splits")]


def test_rows_of_a_group_are_drawn_together_and_still_nobodys(tmp_path: Path) -> None:
    (tmp_path / "recordings.csv").write_text(TABLE)
    rows = {"recording_id": list("abcde"), "error_code": None, "outcome": "screened", "n_events": 1}
    pd.DataFrame({**rows, "cough_score": 0.5}).to_parquet(tmp_path / "predictions.parquet")
    manifest = Manifest.open(tmp_path)
    frame = join(tmp_path, manifest).frame
    assert list(frame["subject"]) == [
        f"{NOBODY}esc50:fs_1", f"{NOBODY}esc50:fs_1", f"{NOBODY}c", "p1", f"{NOBODY}virufy:p2",
    ]  # fmt: skip
    # Of c nothing is known but its name, which is that of a recording of the training.
    everybody = {f"{NOBODY}esc50:fs_1", f"{NOBODY}c", "p1", f"{NOBODY}virufy:p2"}
    assert leaks(frame, Known.of(manifest)) == sorted(everybody)
