"""Room was asked for in one turn of the event loop and taken in the next: all who came together got in."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from itertools import islice

import httpx

from tests.children import children_of
from tests.serving.test_limits import until
from tests.serving.test_screenings import GOOD, assert_problem, upload
from tests.serving.test_start import cough_serve

N_CLIENTS = 32


def test_of_a_crowd_only_as_many_as_there_is_room_for_are_admitted() -> None:
    """The service is stopped until all have sent, so it finds them in one turn; its worker for longer."""
    with ExitStack() as stack:
        process, url = stack.enter_context(cough_serve("--workers", "1"))
        clients = [stack.enter_context(httpx.Client(base_url=url, timeout=120)) for _ in range(N_CLIENTS)]
        threads = stack.enter_context(ThreadPoolExecutor(N_CLIENTS))
        for client in clients:
            assert client.get("/healthz").status_code == 200
        (worker,) = children_of(process.pid)
        for pid in (worker, process.pid):
            os.kill(pid, signal.SIGSTOP)
            stack.callback(os.kill, pid, signal.SIGCONT)
        answers = [threads.submit(upload, client, GOOD) for client in clients]
        until(lambda: all(answer.running() for answer in answers))
        time.sleep(0.5)
        os.kill(process.pid, signal.SIGCONT)
        for refused in islice(as_completed(answers), N_CLIENTS - 2):
            assert_problem(refused.result(), 503, "overloaded")
        os.kill(worker, signal.SIGCONT)
        assert [answer.result().status_code for answer in answers].count(200) == 2
