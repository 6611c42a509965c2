from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from rich.progress import Progress, ProgressColumn

from cough import errors
from cough.batch import run_batch, summary
from cough.cli.batch import _bar
from cough.journal import EVENTS, LOCK, PREDICTIONS, RUN, SHARDS
from cough.run import Run
from cough.run import plan_shards as plan
from cough.screener import Screener
from cough.workers import DECODER_CRASHED, shard_table
from tests.benchmarks.batches import in_part, many_rows
from tests.children import spawned_by
from tests.conftest import EXAMPLES
from training import synth

RATE_HZ = 16_000


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dozen recordings of every kind: real containers, noise, a cough bout, no audio, none at all."""
    folder = tmp_path_factory.mktemp("recordings")
    for example in EXAMPLES.iterdir():
        if example.suffix != ".py":
            shutil.copy(example, folder)
    rng = np.random.default_rng(7)
    for i in range(5):
        soundfile.write(folder / f"bout_{i}.wav", synth.cough_bout(rng)[: 2 * RATE_HZ], RATE_HZ)
    (folder / "text.wav").write_text("no sound")
    (folder / "empty.flac").write_bytes(b"")
    names = sorted(p.name for p in folder.iterdir())
    lines = ["recording_id,path,group_id", *(f"{n},{n},p" for n in names), "gone,gone.wav,p"]
    (folder / "recordings.csv").write_text("\n".join(lines) + "\n")
    return folder


def rows(out: Path, name: str = PREDICTIONS) -> list[dict]:
    return pq.read_table(out / name).to_pylist()


def small(recordings: Path, shard_rows: int = 2) -> Run:
    return Run.plan(recordings).model_copy(update={"shard_rows": shard_rows})


@pytest.fixture(scope="module")
def finished(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_batch(small(recordings), tmp_path_factory.mktemp("out") / "run", workers=2)


def test_one_row_a_recording_in_the_order_of_the_manifest(recordings: Path, finished: Path) -> None:
    expected = [line.split(",")[0] for line in (recordings / "recordings.csv").read_text().splitlines()[1:]]
    table = rows(finished)
    assert [row["recording_id"] for row in table] == expected
    codes = {row["recording_id"]: row["error_code"] for row in table if row["error_code"]}
    assert codes == {"text.wav": "not_audio", "empty.flac": "empty", "gone": "file_missing"}
    assert all(row["cough_score"] is None for row in table if row["error_code"])


def test_rows_are_what_the_screener_says(recordings: Path, finished: Path, screener: Screener) -> None:
    events = rows(finished, EVENTS)
    for row in rows(finished):
        if row["error_code"]:
            continue
        result = screener.screen(recordings / row["path"])
        assert row["cough_score"] == result.cough_score
        assert row["outcome"] == result.outcome
        assert row["reasons"] == [reason.code for reason in result.reasons]
        assert row["in_training"] is False
        mine = [e for e in events if e["recording_id"] == row["recording_id"]]
        assert [(e["start_s"], e["end_s"], e["score"]) for e in mine] == [
            (e.start_s, e.end_s, e.score) for e in result.events
        ]


def test_workers_and_shards_change_nothing(recordings: Path, finished: Path, tmp_path: Path) -> None:
    other = run_batch(small(recordings, 5), tmp_path / "other", workers=1)
    assert rows(other) == rows(finished)
    assert rows(other, EVENTS) == rows(finished, EVENTS)


def test_a_finished_run_is_not_run_again(recordings: Path, finished: Path) -> None:
    before = (finished / PREDICTIONS).stat().st_mtime_ns
    run_batch(small(recordings), finished)
    assert (finished / PREDICTIONS).stat().st_mtime_ns == before
    assert sorted(p.name for p in finished.iterdir()) == sorted([PREDICTIONS, EVENTS, RUN])


def test_another_run_does_not_go_into_the_folder(recordings: Path, finished: Path, tmp_path: Path) -> None:
    with pytest.raises(errors.BatchMismatch):
        run_batch(small(recordings, 3), finished)
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(errors.BatchMismatch):
        run_batch(small(recordings), tmp_path)


def test_a_record_replays_and_notices_a_changed_manifest(recordings: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(recordings, tmp_path / "copy")
    run_batch(small(copy), tmp_path / "one", workers=1)
    record = Run.read(tmp_path / "one" / RUN)
    record.check_replayable()
    again = run_batch(record, tmp_path / "two", workers=1)
    assert rows(again) == rows(tmp_path / "one")
    with open(copy / "recordings.csv", "a") as file:
        file.write("more,more.wav,p\n")
    with pytest.raises(errors.BatchMismatch):
        record.check_replayable()


def test_only_some_shards_are_planned_into_memory(recordings: Path) -> None:
    shards = plan(small(recordings))
    assert [row[0].recording_id for row in next(shards).rows] == ["bout_0.wav", "bout_1.wav"]


def test_our_own_failure_is_a_row_too(recordings: Path, screener: Screener) -> None:
    """A recording on which the library itself fails ends neither the shard nor the run."""
    shard = next(plan(small(recordings)))
    recording = shard.rows[0][0].model_copy(update={"path": "a\0b"})
    table = shard_table(screener, type(shard)(0, ((recording, "a\0b"), shard.rows[1])))
    codes = [row["error_code"] for row in table.to_pylist()]
    assert codes[0] in ("file_missing", "not_a_file", "file_unreadable", "internal")
    assert codes[1] is None


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from cough.cli import main; main()", "batch", *arguments]


def test_killed_twenty_times_nothing_is_lost_or_doubled(
    recordings: Path, finished: Path, tmp_path: Path
) -> None:
    """Twelve times at any moment, eight times when a shard has just been added: those are gone on from."""
    many = tmp_path / "many.csv"
    names = [line.split(",")[0] for line in (recordings / "recordings.csv").read_text().splitlines()[1:]]
    lines = [f"{i:04d},{recordings / name},p" for i, name in enumerate(names * 60)]
    many.write_text("\n".join(["recording_id,path,group_id", *lines]) + "\n")
    record, out = tmp_path / "record.json", tmp_path / "out"
    record.write_text(Run.plan(many).model_copy(update={"shard_rows": 8}).model_dump_json())
    delays = random.Random(20)
    left: list[dict[str, int]] = [{}]
    for kill in range(20):
        process = subprocess.Popen(
            command("--replay", str(record), "-o", str(out), "--workers", "1"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        if kill % 5 < 2:
            deadline = time.monotonic() + 120
            while len(_journal(out)) <= len(left[-1]) and time.monotonic() < deadline:
                if process.poll() is not None:
                    break
                time.sleep(0.01)
        else:
            time.sleep(delays.uniform(0.2, 2.2))
        if process.poll() is not None:
            break
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        left.append(_journal(out))
    assert len(left) == 21 or (out / PREDICTIONS).exists()
    assert all(before.items() <= after.items() for before, after in itertools.pairwise(left))
    assert len({len(shards) for shards in left} - {0}) >= 5
    subprocess.run(
        command("--replay", str(record), "-o", str(out), "--workers", "2"), check=True, capture_output=True
    )
    table = rows(out)
    assert [row["recording_id"] for row in table] == [line.split(",")[0] for line in lines]
    by_name = {row["recording_id"]: row["cough_score"] for row in rows(finished)}
    assert [row["cough_score"] for row in table] == [by_name[name] for name in names * 60]
    assert len(rows(out, EVENTS)) == 60 * len(rows(finished, EVENTS))
    assert not (out / "shards").exists()


def _journal(out: Path) -> dict[str, int]:
    """Finished shards and when they were written (ns)."""
    return {path.name: path.stat().st_mtime_ns for path in (out / "shards").glob("*.parquet")}


KILLED_WHILE_JOINING = """
import os, signal, sys
import pyarrow.parquet as pq
from pathlib import Path
from cough.batch import run_batch
from cough.run import Run

class Killed(pq.ParquetWriter):
    def close(self):
        if self.is_open and sys.argv[3] in str(self.where):
            os.kill(os.getpid(), signal.SIGKILL)
        super().close()

pq.ParquetWriter = Killed
run_batch(Run.read(Path(sys.argv[1])), Path(sys.argv[2]))
"""


def test_killed_while_the_shards_are_joined(recordings: Path, finished: Path, tmp_path: Path) -> None:
    """Before either table was whole; all shards are there, and the next run only joins them."""
    record, out = tmp_path / "record.json", tmp_path / "out"
    record.write_text(small(recordings).model_dump_json())
    shards: dict[str, int] = {}
    for table in (EVENTS, PREDICTIONS):
        killed = subprocess.run(
            [sys.executable, "-c", KILLED_WHILE_JOINING, record, out, table], stderr=subprocess.DEVNULL
        )
        assert killed.returncode == -signal.SIGKILL
        assert not (out / PREDICTIONS).exists()
        assert len(_journal(out)) == -(-len(rows(finished)) // 2)
        assert shards in ({}, _journal(out))
        shards = _journal(out)
    assert rows(run_batch(Run.read(record), out)) == rows(finished)
    assert rows(out, EVENTS) == rows(finished, EVENTS)


def test_what_a_killed_run_had_half_written_goes_and_nothing_else(recordings: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / SHARDS).mkdir(parents=True)
    (out / RUN).write_text(small(recordings).model_dump_json(indent=1) + "\n")
    theirs = [out / ".mine.parquet.bak", out / ".predictions.parquet.Xy12Za"]
    for path in (*theirs, out / ".predictions.parquet.812", out / SHARDS / ".0000003.parquet.812"):
        path.write_text("half")
    run_batch(small(recordings), out, engine=in_part)
    assert sorted(out.iterdir()) == sorted([*theirs, out / PREDICTIONS, out / EVENTS, out / RUN])


@pytest.mark.parametrize("damage", [b"", b"PAR1 and no more"])
def test_a_damaged_shard_is_screened_again(recordings: Path, tmp_path: Path, damage: bytes) -> None:
    out, run = tmp_path / "out", small(recordings)
    whole = rows(run_batch(run, tmp_path / "whole", engine=in_part))
    (out / SHARDS).mkdir(parents=True)
    (out / RUN).write_text(run.model_dump_json(indent=1) + "\n")
    (out / SHARDS / "0000001.parquet").write_bytes(damage)
    with pytest.raises(errors.JournalDamaged, match="0000001"):
        run_batch(run, out, engine=in_part)
    assert rows(run_batch(run, out, engine=in_part)) == whole


def test_a_second_run_is_kept_out_until_the_first_has_ended(recordings: Path, tmp_path: Path) -> None:
    """However it ends: a lock that outlived a killed process would shut the folder for ever."""
    out = tmp_path / "out"
    out.mkdir()
    holds = f"import fcntl, time; f = open({str(out / LOCK)!r}, 'ab'); fcntl.flock(f, fcntl.LOCK_EX); print()"
    first = subprocess.Popen(
        [sys.executable, "-c", f"{holds}; import sys; sys.stdout.flush(); time.sleep(600)"],
        stdout=subprocess.PIPE,
    )
    assert first.stdout is not None
    with first.stdout:
        first.stdout.readline()
        second = subprocess.run(command(str(recordings), "-o", str(out)), capture_output=True)
        assert second.returncode == 1
        assert b"batch_running" in second.stderr
        assert [path.name for path in out.iterdir()] == [LOCK]
        first.kill()
        first.wait()
    run_batch(small(recordings), out, engine=in_part)
    assert sorted(p.name for p in out.iterdir()) == sorted([PREDICTIONS, EVENTS, RUN])


def test_many_rows_are_journalled_and_joined(tmp_path: Path) -> None:
    """The benchmark of a million rows, on fewer."""
    figures = many_rows(tmp_path, 300, shard_rows=32)
    assert figures["rows"] == 300
    assert figures["events"] >= 300


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux' /proc to find the workers")
def test_a_worker_that_dies_costs_no_row(recordings: Path, finished: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        command(str(recordings), "-o", str(tmp_path / "out"), "--workers", "2"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    victim = None
    deadline = time.monotonic() + 60
    while victim is None and process.poll() is None and time.monotonic() < deadline:
        victim = next(iter(spawned_by(process.pid)), None)
        time.sleep(0.01)
    assert victim is not None
    time.sleep(0.6)
    os.kill(victim, signal.SIGKILL)
    _, message = process.communicate(timeout=120)
    if process.returncode == 0:
        table = rows(tmp_path / "out")
        assert [r["cough_score"] for r in table] == [r["cough_score"] for r in rows(finished)]
    else:  # killed before it had started: said so, and the next call goes on
        assert b"workers_failed" in message


def test_a_recording_that_never_comes_is_a_row_with_a_code(tmp_path: Path) -> None:
    """A store that takes the request and says nothing; its worker is ended, the other rows stay."""
    pytest.importorskip("aiohttp", reason="fsspec opens http by it")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        good = [EXAMPLES / name for name in ("synthetic_cough.m4a", "synthetic_noise.ogg")]
        paths = [good[0], f"http://127.0.0.1:{port}/x.wav", good[1]]
        rows = ["recording_id,path", *(f"r{i},{path}" for i, path in enumerate(paths))]
        (tmp_path / "recordings.csv").write_text("\n".join(rows) + "\n")
        run = Run.plan(tmp_path / "recordings.csv").model_copy(update={"row_deadline_s": 5.0})
        out = run_batch(run, tmp_path / "out")
    table = pq.read_table(out / "predictions.parquet")
    assert table.column("recording_id").to_pylist() == ["r0", "r1", "r2"]
    assert table.column("error_code").to_pylist() == [None, DECODER_CRASHED, None]


def test_the_time_left_does_not_count_on_what_was_done_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resumed run promised the pace of reading its journal."""
    clock, shown = [0.0], []

    class Timed(Progress):
        def __init__(self, *columns: ProgressColumn, **options: Any) -> None:
            super().__init__(*columns, get_time=lambda: clock[0], auto_refresh=False, **options)
            shown.append(self)

    monkeypatch.setattr("cough.cli.batch.Progress", Timed)
    with _bar(1_000) as done:
        for _ in range(2):
            done(450, 0.0)
        assert shown[0].tasks[0].completed == 900
        for _ in range(10):
            clock[0] += 10.0
            done(5, 50.0)
        task = shown[0].tasks[0]
        assert (task.completed, task.time_remaining) == (950, 100.0)
        assert task.fields["speed"] == "5 x real time"


def test_the_command(recordings: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        command(str(recordings), "-o", str(tmp_path / "out"), "--json"), capture_output=True, check=True
    )
    facts = json.loads(done.stdout)
    assert facts["recordings"] == len(rows(tmp_path / "out"))
    assert facts["errors"] == {"empty": 1, "file_missing": 1, "not_audio": 1}
    assert facts == summary(tmp_path / "out") | {"left_out": 0}
    nothing = subprocess.run(command(str(tmp_path / "none"), "-o", str(tmp_path / "x")), capture_output=True)
    assert nothing.returncode == 2
    assert b"manifest_missing" in nothing.stderr
    assert not (tmp_path / "x").exists()
