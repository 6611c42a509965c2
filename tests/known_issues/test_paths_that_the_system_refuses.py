"""Names that are too long or no UTF-8 and folders that may not be written ended in tracebacks, one of them
after hours of listening.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cough import errors
from cough.cli import app
from cough.manifest import Manifest
from cough.run import Run
from cough.validation import check_fix
from tests.conftest import EXAMPLES

ENDLESS = "x" * 400


@pytest.mark.parametrize(
    "words",
    [
        ("batch", ENDLESS, "-o", "out"),
        ("batch", str(EXAMPLES), "-o", ENDLESS),
        ("evaluate", ENDLESS, str(EXAMPLES), "-o", "out"),
        ("events", str(EXAMPLES / "synthetic_cough.m4a"), "-o", ENDLESS),
        ("data", "validate", ENDLESS),
    ],
    ids=" ".join,
)
def test_a_name_that_is_too_long_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, words)
    assert result.exit_code in (1, 2)
    assert isinstance(result.exception, SystemExit)
    assert not list(tmp_path.iterdir())


def test_a_manifest_that_cannot_be_read(tmp_path: Path) -> None:
    loop = tmp_path / "loop.csv"
    loop.symlink_to(loop)
    with pytest.raises(errors.ManifestMissing):
        Manifest.open(loop)


def test_a_folder_whose_name_is_not_utf8(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    (folder / "a.m4a").write_bytes((EXAMPLES / "synthetic_cough.m4a").read_bytes())
    with pytest.raises(errors.ManifestInvalid, match="UTF-8"):
        Run.plan(folder)


def test_a_fixed_manifest_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "recordings.csv").write_text("recording_id,path\na,a.wav\n")
    manifest = Manifest.open(tmp_path)
    with pytest.raises(errors.OutputUnwritable):
        check_fix(manifest, tmp_path / ("y" * 250))
    check_fix(manifest, tmp_path / "new.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["recordings.csv"]
