"""The folder of a batch run: locked, written whole or not at all, gone on from after kill -9.

A shard's outcome is a parquet file that appears under its name only when whole, so its presence is the
journal. When all are there, they are joined into ``predictions.parquet`` and ``events.parquet``.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cough import errors
from cough.predictions import events_of

if TYPE_CHECKING:
    import pyarrow as pa

PREDICTIONS, EVENTS, RUN, SHARDS = "predictions.parquet", "events.parquet", "run.json", "shards"
LOCK = ".cough-batch.lock"
WITHOUT_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
WITHOUT_SYNC = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}
"""What some network file systems answer where a folder is to be written through."""
_HALF_WRITTEN = re.compile(r"\.(run\.json|(predictions|events|\d{7})\.parquet)\.\d+")
"""What ``partial`` calls a file until it is whole."""
JOIN_ROWS = 4_096
"""Rows of a table that are in memory at a time when shards are joined."""


@contextmanager
def alone(out: Path) -> Iterator[bool]:
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


@contextmanager
def writing(out: Path) -> Iterator[None]:
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
def partial(path: Path) -> Iterator[Path]:
    """A file beside ``path`` that takes its name once it is whole and on the disk; else nothing stays."""
    half = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield half
        _to_disk(half)
        half.replace(path)
        _to_disk(path.parent)
    finally:
        with suppress(OSError):  # of a disk that went away; the first error tells more
            half.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    """What was written to a file, or the names in a folder, outlives a loss of power from here on."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    except OSError as error:
        if error.errno not in WITHOUT_SYNC:
            raise
    finally:
        os.close(opened)


class Journal:
    """What of a run is done: a parquet file for each finished shard, until all are joined into two tables.

    Every method raises ``OutputUnwritable`` where the disk does not take it.

    Parameters
    ----------
    out : the folder of results, which ``alone`` keeps others out of
    """

    def __init__(self, out: Path) -> None:
        self._out, self._shards = out, out / SHARDS

    @property
    def is_joined(self) -> bool:
        """Whether both tables are there; predictions are written last."""
        return (self._out / PREDICTIONS).exists()

    def tidy(self) -> None:
        """Take away what a killed run had half written; for whoever is alone here."""
        with writing(self._out):
            for path in (*self._out.iterdir(), *self._shards.glob(".*")):
                if _HALF_WRITTEN.fullmatch(path.name) and path.is_file():
                    path.unlink()

    def has(self, index: int) -> bool:
        """Whether a shard is done."""
        return self._path(index).exists()

    def add(self, index: int, table: pa.Table) -> None:
        """Keep a shard's rows, events nested."""
        import pyarrow.parquet as pq

        with writing(self._out):
            self._shards.mkdir(exist_ok=True)
            with partial(self._path(index)) as half:
                pq.write_table(table, half)

    def join(self, n_shards: int, *, shard_rows: int) -> None:
        """Write both tables from all shards, row group by row group.

        Raises
        ------
        JournalDamaged : a shard cannot be read back
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        at_a_time = max(1, JOIN_ROWS // shard_rows)
        for name in (EVENTS, PREDICTIONS):
            with writing(self._out), partial(self._out / name) as half, ExitStack() as opened:
                writer = None
                for first in range(0, n_shards, at_a_time):
                    indices = range(first, min(first + at_a_time, n_shards))
                    table = pa.concat_tables([self._read(index) for index in indices])
                    part = events_of(table) if name == EVENTS else table.drop_columns(["events"])
                    if writer is None:
                        writer = opened.enter_context(pq.ParquetWriter(half, part.schema))
                    writer.write_table(part)

    def remove(self) -> None:
        """Once joined."""
        shutil.rmtree(self._shards, ignore_errors=True)

    def _path(self, index: int) -> Path:
        return self._shards / f"{index:07d}.parquet"

    def _read(self, index: int) -> pa.Table:
        """A shard; one that the disk damaged is taken away, so that it is screened again."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self._path(index)
        try:
            return pq.read_table(path)
        except (OSError, pa.ArrowInvalid) as error:
            with suppress(OSError):
                path.unlink()
            raise errors.JournalDamaged(
                f"{path} cannot be read any more. It was taken away; the same command screens its rows again."
            ) from error
