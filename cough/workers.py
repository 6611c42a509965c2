"""Worker processes that screen shards; a recording that kills one, or takes too long, costs its own row."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING

from cough.bundle import load_bundle
from cough.manifest import Recording
from cough.predictions import decode_table, encode_table, predict, prediction_schema
from cough.processes import WorkerProcess, side_by_side
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
    _screener, _row_deadline_s = Screener(bundle), row_deadline_s


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
    """Shards through worker processes, a few in flight."""

    def screen(screener: IsolatedScreener, shard: Shard) -> tuple[int, pa.Table]:
        return shard.index, screener.screen(shard)

    yield from side_by_side([IsolatedScreener(run) for _ in range(workers)], screen, shards)


class IsolatedScreener:
    """One worker process; a recording that kills it costs its own row."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._process = WorkerProcess(_start_worker, (run.bundle_folder, run.row_deadline_s))

    def screen(self, shard: Shard) -> pa.Table:
        """One row a recording; a shard that kills its worker goes row by row.

        Raises
        ------
        WorkersFailed : the process does not start
        """
        import pyarrow as pa

        table = self._ask(shard)
        if table is not None:
            return table
        rows = [(row[0], self._ask(Shard(shard.index, (row,)))) for row in shard.rows]
        return pa.concat_tables(self._lost(recording) if t is None else t for recording, t in rows)

    def close(self) -> None:
        """End the process."""
        self._process.close()

    def _ask(self, shard: Shard) -> pa.Table | None:
        """None: the shard ended the process."""
        try:
            return decode_table(self._process.call(screen_shard, shard))
        except BrokenProcessPool:
            return None

    def _lost(self, recording: Recording) -> pa.Table:
        import pyarrow as pa

        run = self._run
        names = tuple(spec.name for spec in load_bundle(run.bundle_folder).spec.conditions)
        row = {
            "recording_id": recording.recording_id,
            "path": recording.path,
            "error_code": DECODER_CRASHED,
            "error_message": "Decoding this recording ended the worker process, or took longer than "
            f"{run.row_deadline_s:g} s.",
            "bundle_id": run.bundle_id,
            "events": [],
        }
        return pa.Table.from_pylist([row], schema=prediction_schema(names))
