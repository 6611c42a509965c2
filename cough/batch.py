"""Screen a manifest: one row a recording, whatever happens, resumable after kill -9.

Rows are screened in shards (``cough.run``) by worker processes (``cough.workers``); what is done is kept in
the folder of results (``cough.journal``), so that a run that was killed goes on with the shards that are not
there. ``run.json``, written first, says what replays them. The tables are in the manifest's order.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cough import errors
from cough.journal import PREDICTIONS, RUN, Journal, alone, partial, writing
from cough.manifest import Manifest
from cough.run import Run, plan_shards
from cough.workers import screen_locally

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
    BatchMismatch : ``out`` holds something else, or the manifest is not that of ``run`` or was changed
        meanwhile
    OutputUnwritable : ``out`` cannot be made or written
    BatchRunning : another process is at work in ``out``
    ManifestInvalid : a line of the manifest cannot be read
    WorkersFailed : the worker processes do not start
    JournalDamaged : a shard that was done cannot be read back
    """
    with alone(out) as locked:
        with writing(out):
            _claim(run, out)
        journal = Journal(out)
        if locked:
            journal.tidy()
        if journal.is_joined:
            journal.remove()
            progress(run.n_rows, 0.0)
            return out
        todo: list[int] = []
        n_shards = -(-run.n_rows // run.shard_rows)
        for index in range(n_shards):
            if journal.has(index):
                progress(run.rows_of(index), 0.0)
            else:
                todo.append(index)
        missing = frozenset(todo)
        shards = (shard for shard in plan_shards(run) if shard.index in missing)
        done = engine(run, shards) if engine else screen_locally(run, shards, workers)
        for index, table in done:
            if table.num_rows != run.rows_of(index):
                raise _changed(run, journal)
            journal.add(index, table)
            seconds = table.column("duration_s").to_pylist()
            progress(table.num_rows, sum(s or 0.0 for s in seconds))
        if Manifest.open(run.manifest).sha256() != run.manifest_sha256:
            raise _changed(run, journal)
        journal.join(n_shards, shard_rows=run.shard_rows)
        journal.remove()
    return out


def _claim(run: Run, out: Path) -> None:
    record = out / RUN
    if record.exists():
        if not run.is_of(Run.read(record)):
            raise errors.BatchMismatch(f"{out} holds another run: its {RUN} differs. Choose another folder.")
        return
    if any(p for p in out.iterdir() if not p.name.startswith(".")):
        raise errors.BatchMismatch(f"{out} is not empty and holds no {RUN}. Choose another folder.")
    with partial(record) as half:
        half.write_text(run.model_dump_json(indent=1) + "\n")


def _changed(run: Run, journal: Journal) -> errors.BatchMismatch:
    """Rows are read as they are screened: of a manifest that changed, nobody knows which were left out."""
    journal.remove()
    return errors.BatchMismatch(
        f"{run.manifest} is not what it was when the run was planned. What was screened was taken away."
    )


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
