"""``cough data validate`` ended in a traceback on a recording called ``[/x]``."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from cough.cli import app


def test_the_table_shows_names_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "recordings.csv").write_text("recording_id,path,age\n[/x],a.wav,400\n\x1b[31mred,b.wav,400\n")
    result = CliRunner().invoke(app, ["data", "validate", str(tmp_path), "--no-audio"])
    assert result.exit_code == 1
    assert "[/x]" in result.stdout
    assert "\x1b[31m" not in result.stdout
    assert "\\x1b[31mred" in result.stdout
