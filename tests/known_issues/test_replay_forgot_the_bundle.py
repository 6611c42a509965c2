"""A run by ``COUGH_BUNDLE`` was recorded as one of the shipped bundle, and that one followed the variable."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cough import errors
from cough.bundle import DEFAULT_BUNDLE
from cough.run import Run

EXAMPLES = Path(__file__).resolve().parents[2] / "cough" / "examples"


def test_the_bundle_of_the_run_is_that_of_the_replay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = shutil.copytree(DEFAULT_BUNDLE, tmp_path / "other")
    shipped = Run.plan(EXAMPLES)
    assert shipped.bundle is None
    monkeypatch.setenv("COUGH_BUNDLE", str(other))
    by_environment = Run.plan(EXAMPLES)
    assert by_environment.bundle == str(other.resolve())
    monkeypatch.setenv("COUGH_BUNDLE", str(tmp_path / "gone"))
    shipped.check_replayable()
    by_environment.check_replayable()
    changed = by_environment.model_copy(update={"bundle_sha256": "0" * 64})
    with pytest.raises(errors.BatchMismatch, match=shipped.bundle_id):
        changed.check_replayable()
