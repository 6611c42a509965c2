"""A supervised pool of worker processes: one job each, replaced when they crash, hang or leave.

A keeper task owns each worker from its start to its end, and takes jobs from one bounded queue.
A job that kills its worker costs that job; the keeper starts another worker and goes on.

Why not what exists: ``concurrent.futures.ProcessPoolExecutor`` is broken as a whole, all jobs in
flight with it, once one of its processes dies, and cannot end one that hangs. ``pebble`` can do
both, but is LGPL, pickles, and knows no bounded queue. asyncio's subprocesses have all that is
needed: pipes with flow control, ``kill``, ``wait``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from cough.errors import BundleError
from serving import frames
from serving.frames import BrokenFrame, Frame
from serving.room import Busy, Room
from serving.worker import WorkerConfig

log = logging.getLogger("cough.serving")

Loss: TypeAlias = Literal["crashed", "hung", "exhausted", "idle", "unstarted"]
"""Why a worker had to be replaced."""

_LEAVE_S = 2.0
_MAX_PAUSE_S = 10.0


class WorkerLost(Exception):
    """The worker that had the job is gone; ``loss`` says how."""

    def __init__(self, loss: Loss) -> None:
        super().__init__(loss)
        self.loss: Loss = loss


class WorkerFailed(Exception):
    """The worker met a defect of this service and lives on."""


class Unstarted(BundleError):
    """No worker could be started with this bundle."""

    code = "bundle_unusable"


@dataclass(frozen=True, kw_only=True)
class PoolConfig:
    """How many workers, and how long they have."""

    size: int
    job_s: float
    """A worker that takes longer over a job is ended."""
    start_s: float = 60.0
    """A worker that takes longer until it is warm is ended."""


@dataclass(eq=False)
class _Job:
    task: str
    data: bytes
    asked: dict[str, Any]
    """What else the caller wants to know or says, as JSON."""
    answer: asyncio.Future[Frame]
    begun: bool = False
    """Whether the worker had it: one that died before is not this job's doing."""


class Pool:
    """Start it in a running loop, ``submit`` from any task of that loop, close it."""

    def __init__(
        self,
        config: PoolConfig,
        worker: WorkerConfig,
        *,
        room: Room,
        bundle_sha256: str,
        on_loss: Callable[[Loss], None] = lambda loss: None,
    ) -> None:
        self.config = config
        self.room = room
        self._worker_config = worker
        self._bundle_sha256 = bundle_sha256
        self._on_loss = on_loss
        self._jobs: asyncio.Queue[_Job] = asyncio.Queue()
        self._keepers: list[asyncio.Task[None]] = []
        self._workers: set[_Worker] = set()
        self._failing = False
        """The last attempt to start a worker failed."""

    @property
    def ready(self) -> bool:
        """Whether any worker can take jobs."""
        return self.room.warm > 0

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers that run."""
        return [worker.pid for worker in self._workers]

    async def start(self) -> None:
        """Start the workers; returns when one is warm, while the others still start.

        Raises
        ------
        Unstarted : the first worker cannot serve this bundle
        """
        first = await self._started()
        self._keepers = [
            asyncio.create_task(self._keep(first if index == 0 else None))
            for index in range(self.config.size)
        ]

    async def close(self) -> None:
        """End the workers. What still waits is turned away; nothing should, by now."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        self._turn_away()

    def _turn_away(self) -> None:
        """Nobody will take the jobs that wait."""
        while not self._jobs.empty():
            self.room.waiting -= 1
            _fail(self._jobs.get_nowait(), Busy(math.ceil(_MAX_PAUSE_S)))

    def check_room(self) -> None:
        """Raise ``Busy`` where ``submit`` would; asked before a body is read."""
        self._check_workers()
        self.room.check()

    def _check_workers(self) -> None:
        if not self.ready and self._failing:
            raise Busy(math.ceil(_MAX_PAUSE_S))

    def submit(
        self, task: str, recordings: Sequence[bytes], asked: dict[str, Any] | None = None
    ) -> list[asyncio.Future[Frame]]:
        """Queue a job for each recording: all of them, or none.

        At once, so that a crowd that asks in one turn of the event loop is counted one by one. An
        answer that is cancelled leaves the queue; a job already begun is finished for nobody. An
        answer may raise ``WorkerLost`` (the worker crashed, or was ended because it took too long),
        ``WorkerFailed`` (a defect of this service) or ``Busy`` (no worker is left).

        Raises
        ------
        Busy : too much waits already
        """
        self._check_workers()
        self.room.enter(len(recordings))
        loop = asyncio.get_running_loop()
        jobs = [_Job(task, data, asked or {}, loop.create_future()) for data in recordings]
        for job in jobs:
            self._jobs.put_nowait(job)
        return [job.answer for job in jobs]

    async def _keep(self, worker: _Worker | None) -> None:
        """See to it that there is a worker, for ever."""
        pause_s = 0.1
        while True:
            try:
                worker = worker or await self._started()
            except (Unstarted, OSError) as error:
                self._failing = True
                log.error("worker cannot start: %s", error)
                self._on_loss("unstarted")
                if not self.ready:
                    self._turn_away()
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _MAX_PAUSE_S)
                continue
            pause_s = 0.1
            self._failing = False
            loss: Loss | None = None
            self.room.warm += 1
            try:
                loss = await self._feed(worker)
            finally:
                self.room.warm -= 1
                self._workers.discard(worker)
                await worker.end(at_once=loss is not None)
            log.warning("worker replaced: %s", loss)
            self._on_loss(loss)
            worker = None

    async def _started(self) -> _Worker:
        worker = await _Worker.start(
            self._worker_config, bundle_sha256=self._bundle_sha256, start_s=self.config.start_s
        )
        self._workers.add(worker)
        return worker

    async def _feed(self, worker: _Worker) -> Loss:
        """Give the worker jobs for as long as it lives."""
        while True:
            job = await self._next_job(worker)
            if job is None:
                return "idle"
            began = self.room.begin()
            try:
                if job.answer.done():  # its caller has gone
                    continue
                async with asyncio.timeout(self.config.job_s):
                    frame = await worker.do(job)
                self.room.learn(began)
                _settle(job, frame)
                if frame.head["kind"] == "exhausted":
                    return "exhausted"
            except TimeoutError:
                _fail(job, WorkerLost("hung"))
                return "hung"
            except BrokenFrame:
                if job.begun:
                    _fail(job, WorkerLost("crashed"))
                    return "crashed"
                self.room.waiting += 1
                self._jobs.put_nowait(job)
                return "idle"
            finally:
                self.room.end(began)

    async def _next_job(self, worker: _Worker) -> _Job | None:
        """The next job, or None when the worker dies before there is one."""
        job = asyncio.ensure_future(self._jobs.get())
        try:
            await asyncio.wait({job, worker.exited}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            job.cancel()
            raise
        if not worker.exited.done():
            return job.result()
        if job.done():  # both at once: the job is not to blame
            self._jobs.put_nowait(job.result())
        job.cancel()
        return None


class _Worker:
    """A running, warm worker process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid
        self.exited = asyncio.create_task(process.wait())

    @classmethod
    async def start(cls, config: WorkerConfig, *, bundle_sha256: str, start_s: float) -> _Worker:
        """Spawn it and wait until it is warm.

        Raises
        ------
        Unstarted : it died, was too slow, or its bundle is unusable or not ``bundle_sha256``
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-c",
            "from serving.worker import main; main()",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=_environment(),
        )
        worker = cls(process)
        async with contextlib.AsyncExitStack() as unless_warm:
            unless_warm.push_async_callback(worker.end, at_once=True)
            try:
                async with asyncio.timeout(start_s):
                    worker._write(Frame(config.model_dump(mode="json")))
                    hello = (await worker._receive("warm", "unfit")).head
            except (BrokenFrame, TimeoutError) as error:
                raise Unstarted("A worker ended, or was too slow, while it started.") from error
            if hello["kind"] == "unfit":
                raise Unstarted(str(hello.get("detail")))
            if hello.get("bundle_sha256") != bundle_sha256:
                raise Unstarted("The bundle on disk is no longer the one that this service started with.")
            unless_warm.pop_all()
        return worker

    async def do(self, job: _Job) -> Frame:
        """Have a job done; ``job.begun`` says how far it came.

        Raises
        ------
        BrokenFrame : the process is gone
        """
        self._write(Frame({"task": job.task, "asked": job.asked}))
        self._write(Frame({}, job.data))
        await self._receive("begun")
        job.begun = True
        return await self._receive("measured", "refused", "exhausted", "failed")

    async def end(self, *, at_once: bool) -> None:
        """Let it leave by itself, or kill it; returns when it is gone."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        if not at_once:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self.exited), _LEAVE_S)
        if not self.exited.done():
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        await self.exited

    def _write(self, frame: Frame) -> None:
        """Hand a frame to the transport; a process that is gone is noticed when the answer is read."""
        assert self._process.stdin is not None
        for piece in frames.encode(frame):
            self._process.stdin.write(piece)

    async def _receive(self, *kinds: str) -> Frame:
        assert self._process.stdout is not None
        frame = await frames.receive(self._process.stdout)
        if frame.head.get("kind") not in kinds:
            raise BrokenFrame("the worker says what it was not asked")
        return frame


def _settle(job: _Job, frame: Frame) -> None:
    if frame.head["kind"] == "failed":
        log.error("a worker met a defect: %s at %s", frame.head.get("error"), frame.head.get("where"))
        _fail(job, WorkerFailed())
    elif not job.answer.done():
        job.answer.set_result(frame)


def _fail(job: _Job, error: Exception) -> None:
    if not job.answer.done():
        job.answer.set_exception(error)


def _environment() -> dict[str, str]:
    """Imports are found as here; addresses and passwords among the settings stay here."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COUGH_")}
    return {**kept, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "OMP_NUM_THREADS": "1"}
