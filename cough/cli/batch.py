"""``cough batch MANIFEST -o OUT``: every recording of a corpus, resumable."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cough.cli import common
from cough.errors import CoughError, MissingExtra

MOST = 5
"""Suffixes of files left out that are named."""
Source = Annotated[
    str | None,
    typer.Argument(
        metavar="MANIFEST", help="recordings.csv, its folder, or a folder of audio; or a URL of one of them."
    ),
]
Output = Annotated[
    Path, typer.Option("-o", "--output", help="Folder for the tables; resumes where one is unfinished.")
]
Workers = Annotated[int | None, typer.Option("--workers", min=1, help="Processes. Default: one a core.")]
Replay = Annotated[Path | None, typer.Option("--replay", help="Do again what this run.json records.")]


LOG_EVERY_S = 60.0


class Engine(StrEnum):
    """Where shards are screened."""

    local = "local"
    ray = "ray"


def batch(
    source: Source = None,
    output: Output = Path("predictions"),
    workers: Workers = None,
    replay: Replay = None,
    engine: Annotated[Engine, typer.Option(help="Local processes, or a Ray cluster.")] = Engine.local,
    address: Annotated[
        str | None, typer.Option(help="Of a running Ray cluster. Default: one is started here.")
    ] = None,
    bundle: common.BundleOption = None,
    json_output: common.JsonOption = False,
) -> None:
    """Screen every recording of a manifest into predictions.parquet and events.parquet."""
    if (source is None) == (replay is None):
        raise typer.BadParameter("give a MANIFEST or --replay RUN.JSON, not both", param_hint="MANIFEST")
    if replay is not None and bundle is not None:
        raise typer.BadParameter("the record names the bundle", param_hint="--bundle")
    if address is not None and engine is not Engine.ray:
        raise typer.BadParameter("only the Ray engine has an address", param_hint="--address")
    common.need("batch", "pyarrow")
    from cough.batch import run_batch, summary
    from cough.journal import RUN
    from cough.manifest import Manifest
    from cough.run import Run

    distributed = None
    if engine is Engine.ray:
        try:
            from cough.ray_engine import engine as ray_engine

            distributed = ray_engine(address)
        except MissingExtra as error:
            common.report(error)
            raise typer.Exit(common.USAGE) from error
        except CoughError as error:
            common.report(error)
            raise typer.Exit(common.FAILED) from error
    with common.usage_errors():
        if replay is not None:
            record = Run.read(replay)
            run = record.replayed()
        else:
            run = Run.plan(source or "", bundle=bundle)
            begun = output / RUN
            record = Run.read(begun) if os.path.isfile(begun) else run  # noqa: PTH113  is_file raises for some names
        left_out = Manifest.open(run.manifest).left_out()
    for change in run.changes_since(record):
        common.err.print(f"other results are possible: {change}", markup=False)
    if left_out:
        kinds = ", ".join(
            f"{n} {common.printable(kind) or 'without'}" for kind, n in left_out.most_common(MOST)
        )
        common.err.print(
            f"files left out for their suffixes: {left_out.total()} ({kinds}); a csv could name them",
            markup=False,
        )
    try:
        with _bar(run.n_rows) if common.err.is_terminal else nullcontext(_Log(run.n_rows)) as done:
            run_batch(run, output, workers=workers or os.cpu_count() or 1, progress=done, engine=distributed)
    except CoughError as error:
        common.report(error)
        raise typer.Exit(common.FAILED) from error
    except KeyboardInterrupt:
        common.err.print(f"stopped; what was screened is in {output}, the same command goes on", markup=False)
        raise
    facts = summary(output) | {"left_out": left_out.total()}
    if json_output:
        common.emit(json.dumps(facts))
        return
    common.emit(
        f"{facts['recordings']} recordings, {facts['audio_s']:.0f} s of audio, {facts['coughs']} coughs"
    )
    for name, count in {**facts["outcomes"], **{f"error {k}": v for k, v in facts["errors"].items()}}.items():
        common.emit(f"  {name}: {count}")
    common.emit(f"written to {output}")


@contextmanager
def _bar(total: int) -> Iterator[Callable[[int, float], None]]:
    columns = (
        TextColumn("screening"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=common.err, redirect_stdout=False, redirect_stderr=False) as bar:
        task = bar.add_task("screening", total=total, speed="")
        audio_s = 0.0

        def done(n: int, seconds: float) -> None:
            nonlocal audio_s
            audio_s += seconds
            if not audio_s:
                # What an earlier run had done comes without seconds, and says nothing of the pace.
                bar.reset(task, completed=int(bar.tasks[task].completed) + n)
                return
            elapsed = bar.tasks[task].elapsed or 0.0
            speed = f"{audio_s / elapsed:.0f} x real time" if audio_s and elapsed else ""
            bar.update(task, advance=n, speed=speed)

        yield done


class _Log:
    """A line a minute for who reads a log: away from a terminal, a bar is drawn once, at the end."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = self._screened = 0
        self._began = self._told = time.monotonic()

    def __call__(self, n: int, seconds: float) -> None:
        self._done += n
        # What an earlier run had done comes without seconds, and says nothing of the pace.
        self._screened += n if seconds else 0
        now = time.monotonic()
        if now - self._told < LOG_EVERY_S or not self._screened:
            return
        self._told = now
        pace = self._screened / (now - self._began)
        left = timedelta(seconds=round((self._total - self._done) / pace))
        common.err.print(
            f"{self._done}/{self._total} recordings, {pace:.1f} a second, {left} left", markup=False
        )
