"""A process that decodes and screens, one recording at a time, and may die of it.

It talks frames (``serving.frames``) over standard input and output: first its configuration, to
which it answers when it is warm; then one job after another, until input ends. A job is two frames,
what to do and the recording; the first is answered at once, so that the service knows whether a
worker that is gone had begun with it.

What a job may take is limited here, by the kernel: memory beyond what the worker holds when warm,
processor seconds, and not one byte of any file. What takes too long is ended from outside
(``serving.pool``). Recordings that cannot be measured are answers like any other. ``python -c``
starts ``main``; nothing else should call it.
"""

from __future__ import annotations

import contextlib
import faulthandler
import math
import os
import resource
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

from pydantic import BaseModel, ConfigDict

from cough import errors
from cough.audio import DecodeLimits, decode
from cough.bundle import load_bundle
from cough.quality import assess, judge
from cough.screener import Screener
from cough.symptoms import SymptomAnswers
from cough.wire import GateAnswer
from serving import frames
from serving.frames import Frame

_WARM_UP = Path(__file__).resolve().parents[1] / "cough" / "examples" / "synthetic_cough.m4a"


class WorkerConfig(BaseModel):
    """What a worker is told once, at its start."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bundle: Path
    max_bytes: int
    max_seconds: float
    job_s: float
    """Processor seconds that one job may take."""
    memory_bytes: int
    """Address space that one job may add to what the warm worker holds."""


def main() -> None:
    """Serve jobs until standard input ends."""
    jobs, answers = _take_pipes()
    first = frames.read(jobs)
    if first is None:
        return
    config = WorkerConfig.model_validate(first.head)
    try:
        screener = _warm_screener(config)
    except errors.CoughError as error:
        frames.write(answers, Frame({"kind": "unfit", "code": error.code, "detail": str(error)}))
        return
    _limit_memory(config.memory_bytes)
    frames.write(answers, Frame({"kind": "warm", "bundle_sha256": screener.bundle.sha256}))
    while (order := frames.read(jobs)) is not None:
        _limit_processor(config.job_s)
        with contextlib.suppress(BrokenPipeError):
            frames.write(answers, Frame({"kind": "begun"}))
        recording = frames.read(jobs)
        if recording is None:
            return
        answer = _answer(screener, order.head, recording.body)
        with contextlib.suppress(BrokenPipeError):
            frames.write(answers, answer)
        if answer.head["kind"] == "exhausted":
            return  # memory is in pieces by now; a fresh process takes over


def _take_pipes() -> tuple[int, int]:
    """Standard input and output for frames alone: whatever prints then goes to standard error."""
    jobs, answers = os.dup(0), os.dup(1)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    # A terminal or an init system signals the whole group: the service decides when a worker ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    faulthandler.enable()
    return jobs, answers


def _warm_screener(config: WorkerConfig) -> Screener:
    limits = DecodeLimits(max_bytes=config.max_bytes, max_seconds=config.max_seconds)
    screener = Screener(load_bundle(config.bundle), limits=limits)
    if _WARM_UP.exists():
        waveform = decode(_WARM_UP)
        screener.screen(waveform)
    return screener


def _limit_memory(extra_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold the recording
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    statm = Path("/proc/self/statm")
    if statm.exists():
        now_bytes = int(statm.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now_bytes + extra_bytes,) * 2)


def _limit_processor(job_s: float) -> None:
    """The kernel's backstop for a parent that cannot act: it counts whole seconds."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    used_s = usage.ru_utime + usage.ru_stime
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(used_s + job_s) + 1, hard))


def _answer(screener: Screener, order: dict[str, Any], data: bytes) -> Frame:
    try:
        return _TASKS[order["task"]](screener, data, order["asked"])
    except errors.InputError as error:
        return Frame({"kind": "refused", "code": error.code, "detail": str(error)})
    except MemoryError:
        return Frame({"kind": "exhausted"})
    except Exception as error:  # noqa: BLE001 - a defect of ours; the service logs it and answers 500
        # Not the message, which may quote the recording.
        frames_ = traceback.extract_tb(error.__traceback__)
        where = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames_]
        return Frame({"kind": "failed", "error": type(error).__name__, "where": where})


def _screen(screener: Screener, data: bytes, asked: dict[str, Any]) -> Frame:
    said = asked.get("symptoms")
    result = screener.screen(
        data,
        symptoms=SymptomAnswers.model_validate(said) if said else None,
        prevalence=asked.get("prevalence"),
    )
    return _measured(result.outcome, result.timings_ms, result)


def _gate(screener: Screener, data: bytes, _asked: dict[str, Any]) -> Frame:
    """The flow up to where the encoder would begin."""
    began = perf_counter()
    waveform = decode(data, limits=screener.limits)
    gated = screener.gate.detect(waveform.samples)
    quality = assess(waveform, gated.events)
    reasons = judge(quality, screener.quality)
    usable = bool(gated.events) and not any(reason.blocking for reason in reasons)
    answer = GateAnswer(
        usable=usable,
        reasons=reasons,
        cough_score=gated.cough_score,
        events=gated.events,
        quality=quality,
        model=screener.model,
        timings_ms={"total": round((perf_counter() - began) * 1e3, 3)},
    )
    return _measured("usable" if usable else "rerecord", answer.timings_ms, answer)


def _measured(outcome: str, timings_ms: dict[str, float], answer: BaseModel) -> Frame:
    head = {"kind": "measured", "outcome": outcome, "timings_ms": timings_ms}
    return Frame(head, answer.model_dump_json().encode())


_TASKS: dict[str, Callable[[Screener, bytes, dict[str, Any]], Frame]] = {"screen": _screen, "gate": _gate}
