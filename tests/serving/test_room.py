"""The rule by which load is shed, by a clock of the test's own."""

from __future__ import annotations

import heapq
import itertools
import random

import pytest

from serving.room import Busy, Room

JOB_S = 0.04


class Day:
    """A room with workers, and clients who each ask again at once, or a while after they were turned away."""

    def __init__(self, *, workers: int, **limits: float) -> None:
        self.now = 0.0
        self.room = Room(
            **{"max_waiting": 64, "max_wait_s": 1.0, "max_wait_jobs": 1.0, **limits},  # type: ignore[arg-type]
            clock=lambda: self.now,
            warm=workers,
            job_s=JOB_S,
        )
        self.took_s: list[float] = []
        self.n_refused = 0
        self._chance = random.Random(5)
        self._order = itertools.count()
        self._events: list[tuple[float, int, float | None]] = []
        self._asked: list[float] = []

    def live(self, *, clients: int, seconds: float) -> None:
        for i in range(clients):
            self._at(1e-4 * i, None)
        while self._events[0][0] < seconds:
            self.now, _, began = heapq.heappop(self._events)
            if began is None:
                self._ask()
            else:
                self.room.end(began)
                self.room.learn(began)
                self._at(self.now + 0.003, None)
            while self._asked and self.room.busy < self.room.warm:
                self.took_s.append(self.now + JOB_S - self._asked.pop(0))
                self._at(self.now + JOB_S, self.room.begin())

    def _ask(self) -> None:
        try:
            self.room.enter(1)
        except Busy:
            self.n_refused += 1
            self._at(self.now + self._chance.uniform(0.5, 1.5), None)
        else:
            self._asked.append(self.now)

    def _at(self, when: float, began: float | None) -> None:
        heapq.heappush(self._events, (when, next(self._order), began))


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_two_clients_a_worker_are_never_turned_away(workers: int) -> None:
    day = Day(workers=workers)
    day.live(clients=2 * workers, seconds=20)
    assert day.n_refused == 0
    assert len(day.took_s) > 0.95 * 20 / JOB_S * workers


@pytest.mark.parametrize("workers", [1, 2])
def test_of_a_crowd_those_who_are_accepted_hardly_wait_and_workers_stay_busy(workers: int) -> None:
    day = Day(workers=workers)
    day.live(clients=64, seconds=20)
    assert day.n_refused > len(day.took_s) / 2
    took_s = sorted(day.took_s[50:])
    assert took_s[int(0.99 * len(took_s))] < 1.8 * JOB_S
    assert len(day.took_s) > 0.85 * 20 / JOB_S * workers


def test_a_crowd_is_soon_forgotten() -> None:
    room = Room(max_waiting=64, max_wait_s=1.0, max_wait_jobs=1.0, clock=lambda: 0.0, warm=1)
    room.enter(1)
    began = room.begin()
    room.enter(1)
    for _ in range(64):
        with pytest.raises(Busy):
            room.check()
    room.end(began)
    began = room.begin()
    with pytest.raises(Busy):
        room.enter(1)  # would wait a whole job, behind one that has just begun
    for _ in range(32):
        room.end(began)
        room.enter(1)
        began = room.begin()
    room.enter(1)


def test_recordings_of_one_caller_enter_together_or_not_at_all() -> None:
    room = Room(max_waiting=4, max_wait_s=60, warm=1)
    room.enter(1)
    with pytest.raises(Busy):
        room.enter(4)
    assert room.waiting == 1
    room.enter(3)
    assert room.waiting == 4
    with pytest.raises(Busy):
        room.check()


def test_an_empty_queue_takes_all_recordings_of_one_caller() -> None:
    """They would be turned away at every try otherwise."""
    room = Room(max_waiting=2, max_wait_s=60, warm=1)
    room.enter(8)
    assert room.waiting == 8


def test_retry_after_is_the_wait() -> None:
    room = Room(max_waiting=64, max_wait_s=60, warm=1, job_s=30)
    room.enter(3)
    with pytest.raises(Busy) as busy:
        room.check()
    assert busy.value.retry_after_s == 90
