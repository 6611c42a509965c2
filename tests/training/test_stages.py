"""Stages made beside each other, and what they leave behind."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from training.stages import made, meanwhile, run_stage


@dataclass(frozen=True)
class Note:
    """A stage that writes a word, after a while."""

    cache: Path
    word: str
    after_s: float = 0.0

    @property
    def folder(self) -> Path:
        return self.cache / self.word

    def run(self) -> Path:
        time.sleep(self.after_s)
        if self.word == "wrong":
            raise ValueError(self.word)
        self.folder.mkdir(parents=True)
        return self.folder


def test_jobs_are_made_while_something_else_is(tmp_path: Path) -> None:
    job = Note(tmp_path, "made")
    with meanwhile([job]):
        assert not (tmp_path / "else").exists()
    assert job.folder.is_dir()
    with meanwhile([]):
        pass


def test_what_was_made_beside_is_not_run_again_and_what_failed_is(tmp_path: Path) -> None:
    """A second run would say "unchanged" of what was made just now."""
    right, wrong = Note(tmp_path, "right"), Note(tmp_path, "wrong")
    with meanwhile([right, wrong]):
        pass
    assert made(right, beside=[right, wrong]) == right.folder  # ``run`` would not find its place free
    with pytest.raises(ValueError, match="wrong"):
        made(wrong, beside=[right, wrong])
    assert made(Note(tmp_path, "alone"), beside=[]).is_dir()


def test_a_job_that_fails_says_why_and_leaves_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with meanwhile([Note(tmp_path, "wrong"), Note(tmp_path, "right")]):
        pass
    assert "ValueError: wrong" in capfd.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["right"]


def test_jobs_end_with_what_they_were_beside(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(KeyError), meanwhile([Note(tmp_path, "late", after_s=600.0)]):
        raise KeyError("gate")
    assert time.monotonic() - began < 60
    assert not list(tmp_path.iterdir())


def test_a_stage_that_is_there_is_not_made_again(tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        (folder / "word").write_text("once")

    def fail(folder: Path) -> None:
        raise AssertionError("made again")

    made = run_stage(tmp_path, "note", {"a": 1}, write)
    assert run_stage(tmp_path, "note", {"a": 1}, fail) == made
    assert run_stage(tmp_path, "note", {"a": 2}, write) != made
