"""Worker processes that screen shards; a recording that kills one, or takes too long, costs its own row."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from typing import TYPE_CHECKING

from cough import errors
from cough.bundle import load_bundle
from cough.manifest import Recording
from cough.predictions import decode_table, encode_table, predict, prediction_schema
from cough.run import Run, Shard
from cough.screener import Screener

if TYPE_CHECKING:
    import pyarrow as pa

DECODER_CRASHED = "decoder_crashed"
"""Error code of a recording that killed the worker, or on which it was killed for taking too long."""

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


def screen_locally(run: Run, shards: Iterator[Shard], workers: int) -> Iterator[tuple[int, pa.Table]]:
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
        initargs=(run.bundle_folder, run.row_deadline_s),
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
    schema = prediction_schema(tuple(spec.name for spec in load_bundle(run.bundle_folder).spec.conditions))
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
