"""Work in processes that a recording may end: it costs that piece of work, and another process takes over."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

from cough import errors

T = TypeVar("T")
Item = TypeVar("Item")
Result = TypeVar("Result")


class Closable(Protocol):
    """What is closed when the work is done."""

    def close(self) -> None: ...


Worker = TypeVar("Worker", bound=Closable)


class WorkerProcess:
    """One process that does one call after another; a call that ends it is lost, the next finds a new one.

    One each, and no executor of many: where a process dies while another is being started, that of
    Python 3.11 loses the thread that would tell, and everybody waits for ever.

    Parameters
    ----------
    initializer : what the process calls first, with ``initargs``
    """

    def __init__(
        self, initializer: Callable[..., None] | None = None, initargs: tuple[Any, ...] = ()
    ) -> None:
        self._initargs = (initializer, *initargs)
        self._changing = threading.Lock()
        self._closed = False
        self._pool = self._start()

    def _start(self) -> ProcessPoolExecutor:
        # Spawned: ONNX Runtime and FFmpeg hold threads that a fork would copy in the middle of things.
        return ProcessPoolExecutor(
            1, mp_context=get_context("spawn"), initializer=_begin, initargs=self._initargs
        )

    def call(self, function: Callable[..., T], *args: Any) -> T:
        """What the function returns there, or raises.

        Raises
        ------
        BrokenProcessPool : the process ended; another one is ready, unless this was closed meanwhile
        WorkersFailed : no process starts, whatever it is to do
        RuntimeError : it was closed
        """
        try:
            return self._pool.submit(function, *args).result()
        except BrokenProcessPool:
            if self._replace():
                self._check_starts()
            raise

    def close(self) -> None:
        """End the process after what it is doing."""
        with self._changing:
            self._closed = True
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _replace(self) -> bool:
        with self._changing:
            if not self._closed:
                self._pool.shutdown(wait=True)
                self._pool = self._start()
            return not self._closed

    def _check_starts(self) -> None:
        try:
            self._pool.submit(_nothing).result()
        except BrokenProcessPool as error:
            raise errors.WorkersFailed("The worker processes do not start.") from error


def _begin(initializer: Callable[..., None] | None, *initargs: Any) -> None:
    leave_with_the_parent()
    if initializer is not None:
        initializer(*initargs)


def leave_with_the_parent() -> None:
    """End this process when the one that started it is gone, however that ended; at once, in a thread.

    A worker whose run was killed would finish what it does for nobody, or wait for its next call for ever:
    siblings keep the queue open.
    """
    threading.Thread(target=_end_after_the_parent, daemon=True).start()


def _end_after_the_parent() -> None:
    if parent := parent_process():
        parent.join()
        os._exit(1)


def _nothing() -> None:
    """What any process can do that started."""


def side_by_side(
    workers: Sequence[Worker], do: Callable[[Worker, Item], Result], items: Iterator[Item]
) -> Iterator[Result]:
    """Results as they come; every worker does one item at a time, and only a few are taken ahead.

    The workers are closed in the end. What ``do`` raises is raised here, and ends it.
    """
    idle: SimpleQueue[Worker] = SimpleQueue()
    for worker in workers:
        idle.put(worker)

    def work(item: Item) -> Result:
        worker = idle.get()
        try:
            return do(worker, item)
        finally:
            idle.put(worker)

    threads = ThreadPoolExecutor(len(workers))
    flying: set[Future[Result]] = set()
    try:
        while True:
            flying |= {
                threads.submit(work, i) for i in itertools.islice(items, 2 * len(workers) - len(flying))
            }
            if not flying:
                return
            done, flying = wait(flying, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.close()
        threads.shutdown(wait=True)
