"""``cough data validate --fix`` refused the new file's name after the work, and blanked ``Male``."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from cough.cli import app
from cough.manifest import Manifest
from cough.validation import validate, write_fixed


def test_a_taken_name_is_refused_first(tmp_path: Path) -> None:
    manifest = tmp_path / "recordings.csv"
    manifest.write_text("recording_id,path\na,missing.wav\n")
    result = CliRunner().invoke(app, ["data", "validate", str(manifest), "--fix", str(manifest)])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "manifest_invalid" in result.stderr


def test_a_word_in_capitals_is_kept(tmp_path: Path) -> None:
    (tmp_path / "recordings.csv").write_text("recording_id,path,sex\na,a.wav,Male\nb,b.wav,none of it\n")
    manifest = Manifest.open(tmp_path)
    write_fixed(manifest, validate(manifest), tmp_path / "new.csv")
    assert (tmp_path / "new.csv").read_text().split() == ["recording_id,path,sex", "a,a.wav,male", "b,b.wav,"]
