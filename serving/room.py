"""Whether one more recording may wait for a worker: the rule by which the service sheds load.

A recording may wait while it would, by the mean time of recent ones, wait no longer than
``max_wait_s``, no longer than ``max_wait_jobs`` of them take, and while fewer than ``max_waiting``
wait. With ``max_wait_jobs`` 1 as many may wait as there are workers: two clients a worker that each
ask again at once are never turned away, and are answered in twice the time that one alone takes.

While a crowd is turned away anyway, the wait is bounded by half as much, and counted from what the
recordings in the workers have taken already: there is always somebody to come in as a worker is
nearly done, so the workers stay busy. There is a crowd while more than a quarter of recent callers
were turned away; few callers too many are none, and do not meet this bound.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

_CROWD = 0.25
_RECENT = 1 / 16
"""Weight of one caller in the share of those turned away."""
_SLOW = 0.1
"""Weight of one job in their mean time."""


class Busy(Exception):
    """Too much waits, or the wait would be too long."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(retry_after_s)
        self.retry_after_s = retry_after_s


@dataclass(eq=False, kw_only=True)
class Room:
    """What waits and what runs, counted the moment that it changes.

    Attributes
    ----------
    warm : workers that can take jobs
    waiting : jobs that no worker has taken yet
    job_s : recent mean seconds of a job in a worker
    """

    max_waiting: int
    max_wait_s: float
    max_wait_jobs: float = math.inf
    clock: Callable[[], float] = time.monotonic
    warm: int = 0
    waiting: int = 0
    job_s: float = 0.1
    _began: list[float] = field(default_factory=list)
    _turned_away: float = 0.0
    """Share of recent callers."""

    @property
    def busy(self) -> int:
        """Jobs in workers."""
        return len(self._began)

    @property
    def expected_wait_s(self) -> float:
        """Seconds that a new job would wait for a worker, were all the others to begin now."""
        return max(0, self._ahead + 1) * self.job_s / max(1, self.warm)

    def check(self, n_jobs: int = 1) -> None:
        """Raise ``Busy`` where ``enter`` would; asked before a body is read."""
        longest_s = min(self.max_wait_s, self.max_wait_jobs * self.job_s)
        crowd = self._turned_away > _CROWD
        if (
            # A queue that is empty takes any one caller's: how many those are is bounded elsewhere.
            (self.waiting and self.waiting + n_jobs > self.max_waiting)
            or self.expected_wait_s > longest_s
            or (crowd and self._remaining_wait_s > longest_s / 2)
        ):
            self._turned_away += _RECENT * (1 - self._turned_away)
            raise Busy(max(1, math.ceil(self.expected_wait_s)))

    def enter(self, n_jobs: int) -> None:
        """A caller's jobs wait from now on: all of them, or none.

        Raises
        ------
        Busy : there is no room
        """
        self.check(n_jobs)
        self._turned_away -= _RECENT * self._turned_away
        self.waiting += n_jobs

    def begin(self) -> float:
        """A job that waited is in a worker; the time, for ``end``."""
        self.waiting -= 1
        began = self.clock()
        self._began.append(began)
        return began

    def end(self, began: float) -> None:
        """A job has left its worker."""
        self._began.remove(began)

    def learn(self, began: float) -> None:
        """A job that began then took as long as jobs take."""
        self.job_s += _SLOW * (self.clock() - began - self.job_s)

    @property
    def _ahead(self) -> int:
        """Jobs that wait, but for those that find a worker free."""
        return self.waiting + self.busy - max(1, self.warm)

    @property
    def _remaining_wait_s(self) -> float:
        """As ``expected_wait_s``, less what the job that will be done first has taken."""
        if self._ahead < 0:
            return 0.0
        taken_s = self.clock() - min(self._began) if self._began else 0.0
        return max(0.0, self.job_s - taken_s) + self._ahead * self.job_s / max(1, self.warm)
