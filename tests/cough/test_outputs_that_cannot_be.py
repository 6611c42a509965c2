"""Folders that cannot be made, and scores that are not there, ended in tracebacks."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable
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


def limited(bytes_a_file: int) -> Callable[[], None]:
    """As if the disk were full: no file of a process may become larger."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_a_file, bytes_a_file))


def test_batch_on_a_disk_that_fills_up(tmp_path: Path) -> None:
    (tmp_path / "audio").mkdir()
    for i in range(3):
        (tmp_path / "audio" / f"{i}.wav").write_bytes(b"no sound")
    out = tmp_path / "out"
    program = "from cough.cli import main; main()"
    command = [sys.executable, "-c", program, "batch", tmp_path / "audio", "-o", out]
    full = subprocess.run(command, preexec_fn=limited(4_096), capture_output=True, text=True)
    assert (full.returncode, full.stdout) == (1, "")
    assert "output_unwritable" in full.stderr
    assert "Traceback" not in full.stderr
    assert [path.name for path in out.rglob("*") if path.is_file()] == ["run.json"]
    assert subprocess.run(command, capture_output=True).returncode == 0
    assert len(pd.read_parquet(out / "predictions.parquet")) == 3


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
