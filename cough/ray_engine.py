"""``cough batch --engine ray``: the same rows on a Ray cluster.

Shards of a manifest go through a Ray Data pipeline of actors; each actor screens in a worker process of
its own, as the local engine does, so that a recording that kills its decoder costs one row. What a lost
node had not handed over is screened again elsewhere, and a shard's table is written once, by its index.
Recordings are opened where they are screened: paths must mean the same on every node (a shared folder),
or be URLs that fsspec opens (s3://, gs://). A bundle other than the shipped one must be there too.
"""

from __future__ import annotations

import itertools
import logging
import os
import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from cough import errors
from cough.manifest import Recording
from cough.predictions import decode_table, encode_table
from cough.run import Run, Shard
from cough.workers import IsolatedScreener

if TYPE_CHECKING:
    import pyarrow as pa

WAVE_SHARDS = 1_024
"""Planned at a time, so that the driver's memory does not grow with the manifest."""
PASSED_ON = ("AWS_", "GOOGLE_", "AZURE_", "FSSPEC_", "COUGH_")
"""Environment variables with these beginnings are set for the actors: keys and endpoints of stores."""
_ROWS = TypeAdapter(tuple[tuple[Recording, str], ...])


class _Screen:
    """An actor's state."""

    def __init__(self, run: str) -> None:
        self.screener = IsolatedScreener(Run.model_validate_json(run))

    def __call__(self, item: dict[str, Any]) -> dict[str, Any]:
        shard = Shard(int(item["index"]), _ROWS.validate_json(item["rows"]))
        return {"index": shard.index, "table": encode_table(self.screener.screen(shard))}


def engine(address: str | None = None) -> Callable[[Run, Iterator[Shard]], Iterator[tuple[int, pa.Table]]]:
    """What ``run_batch`` takes as ``engine``.

    Parameters
    ----------
    address : of a running cluster, such as ``ray://head:10001`` or ``auto``; None starts one here

    Raises
    ------
    MissingExtra : Ray is not installed
    WorkersFailed : there is no such cluster, or it lost every node
    """
    # Read once at import; both talk to Ray's makers or to nobody's use.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise errors.MissingExtra("The Ray engine needs Ray: pip install 'cough-screening[ray]'.") from error

    if address is not None:
        _check_reachable(address)

    def screen(run: Run, shards: Iterator[Shard]) -> Iterator[tuple[int, pa.Table]]:
        passed = {k: v for k, v in os.environ.items() if k.startswith(PASSED_ON)}
        started = not ray.is_initialized()
        try:
            if started:
                ray.init(
                    address=address,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    runtime_env={"env_vars": passed},
                    include_dashboard=False if address is None else None,
                )
            ray.data.DataContext.get_current().enable_progress_bars = False
            logging.getLogger("ray.data").setLevel(logging.ERROR)
            while wave := list(itertools.islice(shards, WAVE_SHARDS)):
                yield from _wave(ray, run, wave)
        except (ConnectionError, ray.exceptions.RayError) as error:
            raise errors.WorkersFailed(f"The Ray cluster fails: {type(error).__name__}.") from error
        finally:
            if started and ray.is_initialized():
                ray.shutdown()

    return screen


def _check_reachable(address: str) -> None:
    """Ray itself tries for minutes before it says that nobody is there."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdigit():
        return  # "auto" and the like: Ray knows where to look
    try:
        socket.create_connection((host or "127.0.0.1", int(port)), timeout=10).close()
    except OSError as error:
        raise errors.WorkersFailed(f"There is no Ray cluster at {address}.") from error


def _wave(ray: Any, run: Run, wave: list[Shard]) -> Iterator[tuple[int, pa.Table]]:
    items = [{"index": s.index, "rows": _ROWS.dump_json(s.rows).decode()} for s in wave]
    n = max(1, min(len(items), int(ray.cluster_resources().get("CPU", 1))))
    screened = ray.data.from_items(items, override_num_blocks=len(items)).map(
        _Screen,
        fn_constructor_args=(run.model_dump_json(),),
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=n),
        num_cpus=1,
    )
    for row in screened.iter_rows():
        yield int(row["index"]), decode_table(row["table"])
