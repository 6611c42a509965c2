"""Work in processes that a recording may end: it costs that piece of work, and another process takes over."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

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
    """

    def __init__(
        self, initializer: Callable[..., None] | None = None, initargs: tuple[Any, ...] = ()
    ) -> None:
        self._initializer, self._initargs = initializer, initargs
        self._closing = False
        self._pool = self._start()

    def _start(self) -> ProcessPoolExecutor:
        # Spawned: ONNX Runtime and FFmpeg hold threads that a fork would copy in the middle of things.
        return ProcessPoolExecutor(
            1, mp_context=get_context("spawn"), initializer=self._initializer, initargs=self._initargs
        )

    def call(self, function: Callable[..., T], *args: Any) -> T:
        """What the function returns there.

        Raises
        ------
        BrokenProcessPool : the process ended, or did not start
        RuntimeError : it was closed
        """
        try:
            return self._pool.submit(function, *args).result()
        except BrokenProcessPool:
            self._pool.shutdown(wait=True)
            if not self._closing:
                self._pool = self._start()
            raise

    def close(self) -> None:
        """End the process after what it is doing."""
        self._closing = True
        self._pool.shutdown(wait=True, cancel_futures=True)


def side_by_side(
    workers: Sequence[Worker], do: Callable[[Worker, Item], Result], items: Iterator[Item]
) -> Iterator[Result]:
    """Results as they come; every worker does one item at a time, and only a few are taken ahead.

    The workers are closed in the end.
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
