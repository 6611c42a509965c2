"""Rows of a manifest that no table had and no error told of; lines that were not where an error said."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cough import errors
from cough.audio import DecodeLimits, decode
from cough.batch import run_batch
from cough.cli import app
from cough.journal import EVENTS, PREDICTIONS, RUN, SHARDS
from cough.manifest import Manifest
from cough.predictions import fetch
from cough.run import Run, Shard
from cough.validation import validate, write_fixed
from tests.benchmarks.batches import in_part
from tests.cough.evaluation.test_study import world
from training.corpora.tables import read_csv

HEADER = "recording_id,path,duration_s\n"
OPEN_QUOTES = [
    'a,a.wav,1\nb,"b.wav,31\nc,c.wav,1\nd,d.wav,1\n',
    'a,a.wav,1\nb,"b.wav,31\nc,"c.wav,1\nd,d.wav,1\n',
]


def table(folder: Path, text: str) -> Manifest:
    (folder / "recordings.csv").write_text(HEADER + text)
    return Manifest.open(folder)


@pytest.mark.parametrize("text", OPEN_QUOTES)
def test_a_quote_that_nobody_closed_takes_no_rows_along(tmp_path: Path, text: str) -> None:
    manifest = table(tmp_path, text)
    for read in (lambda: list(manifest.lines()), lambda: validate(manifest), lambda: Run.plan(tmp_path)):
        with pytest.raises(errors.ManifestInvalid, match="Line 3 cannot be read: "):
            read()
    with pytest.raises(errors.LayoutUnknown, match=r"recordings\.csv cannot be read"):
        read_csv(tmp_path / "recordings.csv")


def test_a_problem_is_told_by_the_line_that_an_editor_shows(tmp_path: Path) -> None:
    (tmp_path / "recordings.csv").write_text(
        'recording_id,path,age,note\n\na,a.wav,430,\n\nb,b.wav,,"one\ntwo"\n\nc,c.wav,431,\nc,d.wav,,\n'
    )
    manifest = Manifest.open(tmp_path)
    problems = validate(manifest)
    assert [(p.line, p.code) for p in problems] == [
        (3, "impossible_age"), (8, "impossible_age"), (9, "duplicate_id"),
    ]  # fmt: skip
    assert "line 8" in problems[-1].message
    with pytest.raises(errors.ManifestInvalid, match="Line 9: recording_id c is that of line 8"):
        manifest.read_through()
    assert write_fixed(manifest, problems, tmp_path / "fixed.csv") == (2, 1)
    assert [row.columns["age"] for row in Manifest.open(tmp_path / "fixed.csv").rows()] == ["", "", ""]


def lines(n: int, *, name: str = "r") -> str:
    return "".join(f"{name}{i},{i}.wav,1\n" for i in range(n))


@pytest.mark.parametrize("now", [lines(8), lines(12), lines(10, name="s")], ids=["fewer", "more", "others"])
def test_a_manifest_that_changes_meanwhile_is_no_result(tmp_path: Path, now: str) -> None:
    """Shards are planned as they are screened: rows were left out, and the run ended well."""
    table(tmp_path, lines(10))
    run, out = Run.plan(tmp_path).model_copy(update={"shard_rows": 3}), tmp_path / "out"

    def engine(run: Run, shards: Iterator[Shard]) -> Iterator[tuple[int, object]]:
        table(tmp_path, now)
        yield from in_part(run, shards)

    with pytest.raises(errors.BatchMismatch, match="not what it was"):
        run_batch(run, out, engine=engine)
    assert [path.name for path in out.iterdir()] == [RUN]
    table(tmp_path, lines(10))
    assert (run_batch(run, out, engine=in_part) / PREDICTIONS).exists()


def test_a_folder_that_is_still_being_filled_is_no_result(tmp_path: Path) -> None:
    (tmp_path / "b.wav").write_bytes(b"")
    run = Run.plan(tmp_path)

    def engine(run: Run, shards: Iterator[Shard]) -> Iterator[tuple[int, object]]:
        yield from in_part(run, shards)
        (tmp_path / "a.wav").write_bytes(b"")

    with pytest.raises(errors.BatchMismatch, match="not what it was"):
        run_batch(run, tmp_path / "out", engine=engine)


def test_of_a_recording_that_is_too_large_no_more_is_fetched_than_shows_it() -> None:
    fsspec = pytest.importorskip("fsspec")
    url, limits = "memory://large/a.wav", DecodeLimits(max_bytes=2_000_000)
    with fsspec.open(url, "wb") as file:
        file.write(b"RIFF\0\0\0\0WAVE" + bytes(5_000_000))
    fetched = fetch(url, limits=limits)
    assert len(fetched) == 2_000_001
    with pytest.raises(errors.InputError):
        decode(fetched, limits=limits)
    assert len(fetch(url)) == 5_000_012


def test_tables_are_on_the_disk_before_the_shards_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table(tmp_path, lines(4))
    done: list[str] = []
    monkeypatch.setattr("cough.journal.shutil.rmtree", lambda path, **_: done.append(f"gone {path.name}"))
    synced = os.fsync

    def fsync(file: int) -> None:
        done.append(Path(f"/proc/self/fd/{file}").readlink().name)
        synced(file)

    if not Path("/proc/self/fd").exists():
        pytest.skip("needs Linux' /proc to name what is written through")
    monkeypatch.setattr("cough.journal.os.fsync", fsync)
    run_batch(Run.plan(tmp_path), tmp_path / "out", engine=in_part)
    tables = [name.removeprefix(".").removesuffix(f".{os.getpid()}") for name in done[-5:]]
    assert tables == [EVENTS, "out", PREDICTIONS, "out", f"gone {SHARDS}"]


def test_what_a_score_was_trained_on_may_be_at_a_url(tmp_path: Path) -> None:
    """As a path, the URL lost one of its slashes: whoever was in both stayed unseen."""
    pytest.importorskip("fsspec")
    predictions, manifest = world(tmp_path / "in")
    arguments = ["evaluate", str(predictions), str(manifest), "-o", str(tmp_path / "report")]
    done = CliRunner().invoke(app, [*arguments, "--trained-on", "memory://nothing-there"])
    assert done.exit_code == 2
    assert "at memory://nothing-there." in " ".join(done.stderr.split())
