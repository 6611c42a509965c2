"""A row that ends early ended ``cough data prepare`` with a KeyError."""

from __future__ import annotations

import csv
import importlib
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cough import errors
from tests.cough.test_cli import run
from tests.training.corpora.layouts import LAYOUTS
from tests.training.corpora.miniature import table
from training.corpora.form import Item, prepare
from training.corpora.tables import read_csv

TABLES = {
    "esc50": "esc50.csv",
    "coswara": "combined_data.csv",
    "coughvid_v3": "metadata_compiled.csv",
    "virufy": "labels.csv",
    "uk_covid19": "participant_metadata.csv",
    "coda_tb": "CODA_TB_Solicited_Meta_Info.csv",
}


def test_missing_cells_are_empty(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b,c\n1\n1,2\n1,2,3\n1,2,3,4\n\n")
    assert [list(row.values()) for row in read_csv(tmp_path / "t.csv")] == [
        ["1", "", ""], ["1", "2", ""], ["1", "2", "3"], ["1", "2", "3"],
    ]  # fmt: skip


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {layout: LAYOUTS[layout][1](tmp_path_factory.mktemp(layout) / "raw") for layout in TABLES}


@given(st.data())
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_row_cut_anywhere_is_read_or_refused(raw: dict[str, Path], data: st.DataObject) -> None:
    layout = data.draw(st.sampled_from(sorted(TABLES)))
    file = next(raw[layout].rglob(TABLES[layout]))
    whole = file.read_text()
    rows = list(csv.reader(whole.splitlines()))
    which = data.draw(st.integers(1, len(rows) - 1))
    rows[which] = rows[which][: data.draw(st.integers(1, len(rows[which])))]
    recipe = importlib.import_module(f"training.corpora.{LAYOUTS[layout][0]}")
    table(file, tuple(rows[0]), [tuple(row) for row in rows[1:]])
    try:
        assert all(isinstance(item, Item) for item in recipe.rows(raw[layout]))
    except (errors.LayoutUnknown, ValueError):  # prepare makes the one of the other
        pass
    finally:
        file.write_text(whole)


def test_the_command_says_so(raw: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(raw["esc50"], tmp_path / "raw")
    with open(next(folder.rglob("esc50.csv")), "a") as file:
        file.write("5-0-A-0.wav\n")
    with pytest.raises(errors.LayoutUnknown, match="cannot be read"):
        prepare("esc50", folder, tmp_path / "out")
    done = run("data", "prepare", "esc50", folder, "-o", tmp_path / "out")
    assert (done.returncode, done.stdout) == (1, "")
    assert "layout_unknown" in done.stderr
    assert not (tmp_path / "out").exists()
