"""Work in processes that may end: every item has an answer, nobody waits for ever.

An executor of several processes hung in one run of twelve where one of them died while another started
(Python 3.11); these are many such deaths.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool

import pytest

from cough import errors
from cough.processes import WorkerProcess, side_by_side


def _double_or_die(number: int) -> int:
    if number % 3 == 0:
        os._exit(1)
    return 2 * number


def _answer(process: WorkerProcess, number: int) -> tuple[int, int | None]:
    try:
        return number, process.call(_double_or_die, number)
    except BrokenProcessPool:
        return number, None


def test_an_item_that_ends_its_process_costs_itself_only() -> None:
    workers = [WorkerProcess() for _ in range(2)]
    answers = dict(side_by_side(workers, _answer, iter(range(12))))
    assert answers == {n: None if n % 3 == 0 else 2 * n for n in range(12)}


def test_a_process_that_cannot_start_is_told_not_waited_for() -> None:
    process = WorkerProcess(os._exit, (1,))
    with pytest.raises(errors.WorkersFailed):
        process.call(_double_or_die, 1)
    process.close()


def test_items_are_taken_as_they_are_needed_and_workers_closed_where_nobody_goes_on() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        while True:
            taken += 1
            yield taken

    class Worker:
        closed = False

        def close(self) -> None:
            self.closed = True

    workers = [Worker(), Worker()]
    results = side_by_side(workers, lambda worker, item: (worker.closed, item), items())
    assert not next(results)[0]
    time.sleep(0.1)
    assert taken == 4
    results.close()
    assert all(worker.closed for worker in workers)


def test_an_error_of_the_work_reaches_the_caller() -> None:
    workers = [WorkerProcess()]
    with pytest.raises(ZeroDivisionError):
        list(side_by_side(workers, lambda process, n: process.call(divmod, 1, n), iter([1, 0])))
    with pytest.raises(RuntimeError):  # closed
        workers[0].call(divmod, 1, 1)
