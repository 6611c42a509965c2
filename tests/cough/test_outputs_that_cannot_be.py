"""Folders that cannot be made, and scores that are not there, ended in tracebacks."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from cough.cli import app
from tests.cough.evaluation.test_study import world


def invoke(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.stdout == ""
    assert result.stderr.count("error: ") == 1
    return result


def test_batch_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio" / "a.wav").write_bytes(b"no sound")
    (tmp_path / "file").write_text("mine")
    result = invoke("batch", tmp_path / "audio", "-o", tmp_path / "file" / "under")
    assert (result.exit_code, "output_unwritable" in result.stderr) == (1, True)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("where", ["file/under", "file/under/it", "."])
def test_evaluate_where_no_report_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    predictions, manifest = world(tmp_path / "data")
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    if where != ".":
        Path("file").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    result = invoke("evaluate", predictions, manifest, "-o", where)
    assert (result.exit_code, "output_unwritable" in result.stderr) == (1, True)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_recording_with_neither_score_nor_error(tmp_path: Path) -> None:
    predictions, manifest = world(tmp_path)
    table = pd.read_parquet(predictions)
    table.loc[3, "cough_score"] = None
    table.to_parquet(predictions)
    result = invoke("evaluate", predictions, manifest, "-o", tmp_path / "report")
    assert (result.exit_code, "predictions_invalid" in result.stderr) == (1, True)
    assert not (tmp_path / "report").exists()
