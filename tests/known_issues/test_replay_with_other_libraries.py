"""``run.json`` named neither the libraries nor the code: a replay by others said nothing."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from cough.cli import app
from cough.run import LIBRARIES, Run

EXAMPLES = Path(__file__).resolve().parents[2] / "cough" / "examples"


def test_a_replay_by_another_version_says_so(tmp_path: Path) -> None:
    first = CliRunner().invoke(app, ["batch", str(EXAMPLES), "-o", str(tmp_path / "one"), "--workers", "1"])
    assert first.exit_code == 0, first.stderr
    assert "other results are possible" not in first.stderr
    record = Run.read(tmp_path / "one" / "run.json")
    assert set(record.made_with) == {*LIBRARIES, "cough's code"}
    older = record.model_copy(update={"made_with": {**record.made_with, "soxr": "0.0.1"}})
    (tmp_path / "older.json").write_text(older.model_dump_json())
    again = CliRunner().invoke(
        app,
        ["batch", "--replay", str(tmp_path / "older.json"), "-o", str(tmp_path / "two"), "--workers", "1"],
    )
    assert again.exit_code == 0, again.stderr
    assert "soxr was 0.0.1 then" in again.stderr
    assert Run.read(tmp_path / "two" / "run.json").made_with == record.made_with


def test_a_record_of_before_can_be_replayed() -> None:
    record = Run(
        manifest="m",
        manifest_sha256="",
        n_rows=1,
        bundle=None,
        bundle_id="",
        bundle_sha256="",
        cough_version="",
    )
    assert record.model_copy(update={"made_with": {"av": "1"}}).changes_since(record) == []
