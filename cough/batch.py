"""Screen a manifest: one row a recording, whatever happens, resumable after kill -9.

Rows are screened in shards by worker processes. A shard's outcome is a parquet file that appears
under its name only when whole, so its presence is the journal: a run that was killed goes on with
the shards that are not there. When all are, they are joined in the manifest's order into
``predictions.parquet`` and ``events.parquet``; ``run.json``, written first, says what replays them.
A lock keeps a second run out of the folder meanwhile.
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import json
import os
import re
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

import cough
from cough import errors
from cough.bundle import load_bundle
from cough.manifest import Manifest, Recording, Row
from cough.predictions import decode_table, encode_table, events_of, predict, prediction_schema
from cough.screener import Screener

if TYPE_CHECKING:
    import pyarrow as pa

SHARD_ROWS = 64
PREDICTIONS, EVENTS, RUN, SHARDS = "predictions.parquet", "events.parquet", "run.json", "shards"
LOCK = ".cough-batch.lock"
WITHOUT_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
_HALF_WRITTEN = re.compile(r"\.(run\.json|(predictions|events|\d{7})\.parquet)\.\d+")
"""What ``_partial`` calls a file until it is whole."""
JOIN_ROWS = 4_096
"""Rows of a table that are in memory at a time when shards are joined."""
DECODER_CRASHED = "decoder_crashed"
"""Error code of a recording that killed the worker, or on which it was killed for taking too long."""


class Run(BaseModel):
    """All that decides the predictions."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = 1
    manifest: str
    """As the caller gave it, a path made absolute."""
    manifest_sha256: str
    n_rows: int
    bundle: str | None
    """None: the shipped one."""
    bundle_id: str
    bundle_sha256: str
    cough_version: str
    shard_rows: int = SHARD_ROWS
    row_deadline_s: float = 300.0
    """A recording that takes longer is given up; an hour of sound takes some twenty seconds."""

    @classmethod
    def plan(cls, manifest: str | os.PathLike[str], *, bundle: str | os.PathLike[str] | None = None) -> Run:
        """Read and hash what a run would use.

        Raises
        ------
        ManifestError, BundleError
        """
        opened, loaded = Manifest.open(manifest), load_bundle(bundle)
        # Every line is read as a run would read it: a bad cell in the last must not cost days of screening.
        rows = opened.read_through()
        if not rows:
            raise errors.ManifestInvalid("The manifest names no recording.")
        return cls(
            manifest=opened.name,
            manifest_sha256=opened.sha256(),
            n_rows=rows,
            bundle=str(Path(bundle).resolve()) if bundle else None,
            bundle_id=loaded.spec.bundle_id,
            bundle_sha256=loaded.sha256,
            cough_version=cough.__version__,
        )

    @classmethod
    def read(cls, path: Path) -> Run:
        """Read ``run.json``.

        Raises
        ------
        BatchMismatch : it is none
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise errors.BatchMismatch(f"{path.name} is no record of a batch run.") from error

    def check_replayable(self) -> None:
        """Whether the manifest and the bundle are still those of the record.

        Raises
        ------
        BatchMismatch : one of them is not
        """
        now = Run.plan(self.manifest, bundle=self.bundle)
        for name in ("manifest_sha256", "bundle_sha256", "cough_version"):
            if getattr(now, name) != getattr(self, name):
                raise errors.BatchMismatch(f"{name} is not that of the record.")


@dataclass(frozen=True)
class Shard:
    """Consecutive rows of a manifest."""

    index: int
    rows: tuple[tuple[Recording, str], ...]
    """Each recording and where it is."""


Progress = Callable[[int, float], None]
"""Told the number of recordings and the seconds of audio that were just done."""


def run_batch(
    run: Run, out: Path, *, workers: int = 1, progress: Progress = lambda n, s: None, engine: Any = None
) -> Path:
    """Screen every row; returns the folder with the two tables and ``run.json``.

    Parameters
    ----------
    out : a new or empty folder, or that of a run of the same ``run`` that did not end
    workers : local processes
    engine : takes (run, shards) and yields (index, table); None for local processes

    Raises
    ------
    BatchMismatch : ``out`` holds something else
    OutputUnwritable : ``out`` cannot be made or written
    BatchRunning : another process is at work in ``out``
    ManifestInvalid : a line of the manifest cannot be read
    WorkersFailed : the worker processes do not start
    JournalDamaged : a shard that was done cannot be read back
    """
    with _alone(out) as locked:
        journal = out / SHARDS
        with _writing(out):
            _claim(run, out)
            finished = (out / PREDICTIONS).exists()
            if not finished:
                journal.mkdir(exist_ok=True)
            if locked:
                _tidy(out, journal)
        if finished:
            shutil.rmtree(journal, ignore_errors=True)
            progress(run.n_rows, 0.0)
            return out
        todo: list[int] = []
        n_shards = -(-run.n_rows // run.shard_rows)
        for index in range(n_shards):
            if _shard_path(journal, index).exists():
                progress(min(run.shard_rows, run.n_rows - index * run.shard_rows), 0.0)
            else:
                todo.append(index)
        missing = frozenset(todo)
        shards = (shard for shard in plan_shards(run) if shard.index in missing)
        done = engine(run, shards) if engine else _local(run, shards, workers)
        for index, table in done:
            with _writing(out):
                _write_parquet(table, _shard_path(journal, index))
            seconds = table.column("duration_s").to_pylist()
            progress(table.num_rows, sum(s or 0.0 for s in seconds))
        _join(journal, n_shards, out, at_a_time=max(1, JOIN_ROWS // run.shard_rows))
        shutil.rmtree(journal, ignore_errors=True)
    return out


def _tidy(out: Path, journal: Path) -> None:
    """Take away what a killed run had half written; nobody else writes here now."""
    for path in (*out.iterdir(), *journal.glob(".*")):
        if _HALF_WRITTEN.fullmatch(path.name) and path.is_file():
            path.unlink()


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    """A disk that fills up, or goes away, is told as such; the journal has what was done until then.

    Raises
    ------
    OutputUnwritable
    """
    try:
        yield
    except OSError as error:
        raise errors.OutputUnwritable(
            f"{out} cannot be written: {error.strerror or error}. "
            "The same command goes on from what was done."
        ) from error


@contextmanager
def _alone(out: Path) -> Iterator[bool]:
    """Nobody else writes into ``out``; the kernel lets go of the lock however this process ends.

    Gives False where the file system has no locks, so that this cannot be said.

    Raises
    ------
    BatchMismatch : ``out`` is a file
    OutputUnwritable : it cannot be made or written
    BatchRunning : another process is at work in it
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / LOCK).touch()
    except FileExistsError as error:
        raise errors.BatchMismatch(f"{out} is no folder. Choose another one.") from error
    except OSError as error:
        raise errors.OutputUnwritable(f"{out} cannot be written: {error.strerror or error}.") from error
    locked = True
    with open(out / LOCK, "ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise errors.BatchRunning(f"Another run is at work in {out}.") from error
        except OSError as error:
            # A cluster's file system may have no locks; there a second run is not kept out.
            if error.errno not in WITHOUT_LOCKS:
                raise errors.OutputUnwritable(f"{out} cannot be locked: {error.strerror}.") from error
            locked = False
        # Whoever held it may have ended, and taken the file away, between our opening and locking it.
        if not os.fstat(file.fileno()).st_nlink:
            raise errors.BatchRunning(f"Another run was at work in {out} until now.")
        try:
            yield locked
        finally:
            with suppress(OSError):  # of a disk that went away; the first error tells more
                (out / LOCK).unlink(missing_ok=True)


def plan_shards(run: Run) -> Iterator[Shard]:
    """The manifest's rows in order, ``run.shard_rows`` at a time."""
    manifest = Manifest.open(run.manifest)
    rows: Iterator[Row] = manifest.rows()
    for index in itertools.count():
        part = tuple(
            (r.recording, manifest.locate(r.recording)) for r in itertools.islice(rows, run.shard_rows)
        )
        if not part:
            return
        yield Shard(index, part)


def _claim(run: Run, out: Path) -> None:
    record = out / RUN
    if record.exists():
        if Run.read(record) != run:
            raise errors.BatchMismatch(f"{out} holds another run: its {RUN} differs. Choose another folder.")
        return
    if any(p for p in out.iterdir() if not p.name.startswith(".")):
        raise errors.BatchMismatch(f"{out} is not empty and holds no {RUN}. Choose another folder.")
    with _partial(record) as partial:
        partial.write_text(run.model_dump_json(indent=1) + "\n")


def _shard_path(journal: Path, index: int) -> Path:
    return journal / f"{index:07d}.parquet"


def _write_parquet(table: pa.Table, path: Path) -> None:
    import pyarrow.parquet as pq

    with _partial(path) as partial:
        pq.write_table(table, partial)
        with open(partial, "rb") as file:
            os.fsync(file.fileno())


@contextmanager
def _partial(path: Path) -> Iterator[Path]:
    """A file beside ``path`` that takes its name once written, and leaves nothing where that fails."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield partial
        partial.replace(path)
    finally:
        with suppress(OSError):  # of a disk that went away; the first error tells more
            partial.unlink(missing_ok=True)


def _join(journal: Path, n_shards: int, out: Path, *, at_a_time: int) -> None:
    """Both tables, written row group by row group; predictions last, because they mean "done"."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for name in (EVENTS, PREDICTIONS):
        with _writing(out), _partial(out / name) as partial, ExitStack() as opened:
            writer = None
            for first in range(0, n_shards, at_a_time):
                paths = [_shard_path(journal, i) for i in range(first, min(first + at_a_time, n_shards))]
                table = pa.concat_tables([_read_shard(path) for path in paths])
                part = events_of(table) if name == EVENTS else table.drop_columns(["events"])
                if writer is None:
                    writer = opened.enter_context(pq.ParquetWriter(partial, part.schema))
                writer.write_table(part)


def _read_shard(path: Path) -> pa.Table:
    """A shard of the journal; one that the disk damaged is taken away, so that it is screened again.

    Raises
    ------
    JournalDamaged
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        with suppress(OSError):
            path.unlink()
        raise errors.JournalDamaged(
            f"{path} cannot be read any more. It was taken away; the same command screens its rows again."
        ) from error


# Worker side -------------------------------------------------------------------------------------

_screener: Screener | None = None
_row_deadline_s = 0.0


def _start_worker(bundle: str | None, row_deadline_s: float) -> None:
    global _screener, _row_deadline_s
    threading.Thread(target=_leave_with_the_parent, daemon=True).start()
    _screener, _row_deadline_s = Screener(bundle), row_deadline_s


def _leave_with_the_parent() -> None:
    """A worker whose run was killed would wait for its next shard for ever: siblings keep the queue open."""
    if parent := parent_process():
        parent.join()
        os._exit(1)


def screen_shard(shard: Shard) -> bytes:
    """A worker's answer for a shard: the table as an Arrow stream."""
    if _screener is None:
        raise RuntimeError("the worker was not started with a bundle")
    return encode_table(shard_table(_screener, shard, row_deadline_s=_row_deadline_s))


def shard_table(screener: Screener, shard: Shard, *, row_deadline_s: float = 0.0) -> pa.Table:
    """One row a recording of the shard, events nested.

    Parameters
    ----------
    row_deadline_s : for worker processes only: a recording that takes longer ends the process
    """
    import pyarrow as pa

    conditions = tuple(spec.name for spec in screener.bundle.spec.conditions)
    rows = []
    for recording, where in shard.rows:
        if row_deadline_s:
            # What SIGALRM does if nobody handles it ends a decoder that hangs in C, too.
            signal.setitimer(signal.ITIMER_REAL, row_deadline_s)
        rows.append(predict(screener, recording, where))
    if row_deadline_s:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
    return pa.Table.from_pylist(rows, schema=prediction_schema(conditions))


# Local engine ------------------------------------------------------------------------------------


def _local(run: Run, shards: Iterator[Shard], workers: int) -> Iterator[tuple[int, pa.Table]]:
    """Shards through worker processes, a few in flight; a shard that kills its worker row by row."""
    pool = _pool(run, workers)
    flying: dict[Future[bytes], Shard] = {}
    try:
        while True:
            for shard in itertools.islice(shards, 2 * workers - len(flying)):
                flying[pool.submit(screen_shard, shard)] = shard
            if not flying:
                return
            done, _ = wait(flying, return_when=FIRST_COMPLETED)
            broken: list[Shard] = []
            for future in done:
                shard = flying.pop(future)
                try:
                    yield shard.index, decode_table(future.result())
                except BrokenProcessPool:
                    broken.append(shard)
            if broken:
                broken += flying.values()
                flying.clear()
                pool.shutdown(wait=True)
                for shard in sorted(broken, key=lambda s: s.index):
                    yield shard.index, _row_by_row(run, shard)
                pool = _pool(run, workers)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class IsolatedScreener:
    """One worker process; a recording that kills it costs its own row."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._pool = _pool(run, 1)

    def screen(self, shard: Shard) -> pa.Table:
        """One row a recording."""
        try:
            return decode_table(self._pool.submit(screen_shard, shard).result())
        except BrokenProcessPool:
            self._pool.shutdown(wait=True)
            table = _row_by_row(self._run, shard)
            self._pool = _pool(self._run, 1)
            return table


def _pool(run: Run, workers: int) -> ProcessPoolExecutor:
    # Spawned: ONNX Runtime and FFmpeg hold threads that a fork would copy in the middle of things.
    pool = ProcessPoolExecutor(
        workers,
        mp_context=get_context("spawn"),
        initializer=_start_worker,
        initargs=(run.bundle, run.row_deadline_s),
    )
    try:
        pool.submit(_is_ready).result()
    except BrokenProcessPool as error:  # no recording's fault
        pool.shutdown(wait=True)
        raise errors.WorkersFailed("The worker processes do not start.") from error
    return pool


def _is_ready() -> bool:
    return _screener is not None


def _row_by_row(run: Run, shard: Shard) -> pa.Table:
    import pyarrow as pa

    tables: list[pa.Table] = []
    crashed: list[tuple[int, Recording]] = []
    pool = _pool(run, 1)
    try:
        for i, row in enumerate(shard.rows):
            try:
                tables.append(decode_table(pool.submit(screen_shard, Shard(shard.index, (row,))).result()))
            except BrokenProcessPool:
                crashed.append((i, row[0]))
                tables.append(None)
                pool = _pool(run, 1)
    finally:
        pool.shutdown(wait=True)
    schema = prediction_schema(tuple(spec.name for spec in load_bundle(run.bundle).spec.conditions))
    for i, recording in crashed:
        lost = {
            "recording_id": recording.recording_id,
            "path": recording.path,
            "error_code": DECODER_CRASHED,
            "error_message": "Decoding this recording ended the worker process, or took longer than "
            f"{run.row_deadline_s:g} s.",
            "bundle_id": run.bundle_id,
            "events": [],
        }
        tables[i] = pa.Table.from_pylist([lost], schema=schema)
    return pa.concat_tables(tables)


def summary(out: Path) -> dict[str, Any]:
    """Counts of a finished run."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(out / PREDICTIONS, columns=["outcome", "error_code", "n_events", "duration_s"])

    def counts(name: str) -> dict[str, int]:
        found = pc.value_counts(table.column(name).drop_null()).to_pylist()
        return {entry["values"]: entry["counts"] for entry in sorted(found, key=lambda e: str(e["values"]))}

    return {
        "recordings": table.num_rows,
        "outcomes": counts("outcome"),
        "errors": counts("error_code"),
        "coughs": int(pc.sum(table.column("n_events")).as_py() or 0),
        "audio_s": round(float(pc.sum(table.column("duration_s")).as_py() or 0.0), 1),
        "predictions": str(out / PREDICTIONS),
        "run": json.loads((out / RUN).read_text())["bundle_id"],
    }
