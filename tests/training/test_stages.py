"""Stages made beside each other, and what they leave behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from training.stages import made, meanwhile, run_all, run_stage


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


@dataclass(frozen=True)
class Endless:
    """A stage that says which process makes it and never ends."""

    folder: Path

    def run(self) -> Path:
        self.folder.with_suffix(".pid").write_text(str(os.getpid()))
        time.sleep(600)
        return self.folder


def _train(cache: Path) -> None:
    with meanwhile([Endless(cache / "beside")]):
        run_all([Endless(cache / "pooled")], processes=1)


def test_what_a_killed_run_had_started_ends_with_it(tmp_path: Path) -> None:
    """It went on for hours, for nobody, on the cores that the next run wants."""
    run = multiprocessing.get_context("spawn").Process(target=_train, args=(tmp_path,))
    run.start()
    names = ("beside.pid", "pooled.pid")
    deadline = time.monotonic() + 120
    while not all((tmp_path / name).exists() and (tmp_path / name).read_text() for name in names):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    pids = [int((tmp_path / name).read_text()) for name in names]
    assert run.pid is not None
    os.kill(run.pid, signal.SIGKILL)
    run.join()
    while any(_runs(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("said", [None, "ACTIVE"])
def test_threads_that_wait_give_their_core_away_unless_the_user_says_otherwise(said: str | None) -> None:
    """They span: beside two other processes on two cores voters trained in 69 s had not in 8 minutes."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    if said is not None:
        environment["OMP_WAIT_POLICY"] = said
    code = "import training, os, sys; print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == [said or "PASSIVE", "False"]
