"""The gate on a recording of a given length, in a process of its own so that its peak memory is its own.

python -m tests.benchmarks.durations 600
python -m tests.benchmarks.durations 7200 night.flac    # as ``cough events`` hears it: never held as a whole
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from cough.audio import SAMPLE_RATE_HZ, AudioStream
from cough.bundle import load_bundle
from cough.gate import CoughGate


def measure(seconds: int) -> dict[str, float | None]:
    """Median ms for each 10 s of audio, and by how many MB the first run raised resident memory at its peak.

    The recording itself (64 kB a second) and a first second of it are there before and do not count.
    """
    gate = CoughGate(load_bundle())
    samples = np.random.default_rng(0).standard_normal(seconds * SAMPLE_RATE_HZ, dtype=np.float32) * 0.05
    gate.detect(samples[:SAMPLE_RATE_HZ])
    growth = peak_growth_bytes(lambda: gate.detect(samples))
    times = []
    for _ in range(max(3, 300 // seconds)):
        began = time.perf_counter()
        gate.detect(samples)
        times.append(time.perf_counter() - began)
    return {
        "seconds": seconds,
        "ms_per_10_s": statistics.median(times) * 1e4 / seconds,
        "peak_growth_mb": None if growth is None else growth / 1e6,
    }


def measure_stream(seconds: int, path: Path) -> dict[str, float | None]:
    """The same of a file that is decoded and heard piece by piece, as hours are; its first second before."""
    _write(path, seconds=1)
    gate = CoughGate(load_bundle())
    list(gate.events(AudioStream(path)))
    _write(path, seconds=seconds)
    began = time.perf_counter()
    growth = peak_growth_bytes(lambda: list(gate.events(AudioStream(path))))
    return {
        "seconds": seconds,
        "ms_per_10_s": (time.perf_counter() - began) * 1e4 / seconds,
        "peak_growth_mb": None if growth is None else growth / 1e6,
    }


def _write(path: Path, *, seconds: int) -> None:
    second = np.random.default_rng(0).standard_normal(SAMPLE_RATE_HZ, dtype=np.float32) * 0.05
    with soundfile.SoundFile(path, "w", SAMPLE_RATE_HZ, 1) as file:
        for _ in range(seconds):
            file.write(second)


def measure_apart(seconds: int, *path: Path) -> dict[str, float | None]:
    """``measure``, or with a path that is written ``measure_stream``, in a fresh process."""
    command = [sys.executable, "-m", "tests.benchmarks.durations", str(seconds), *map(str, path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def peak_growth_bytes(action: Callable[[], object]) -> int | None:
    """Peak resident memory while ``action`` runs, less what was resident before; None outside Linux.

    ``ru_maxrss`` will not do: it never falls, and loading a model peaks above running it.
    """
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not status.exists():
        return None
    reset.write_text("5")
    before = _kilobytes(status, "VmRSS")
    action()
    return 1024 * (_kilobytes(status, "VmHWM") - before)


def _kilobytes(status: Path, field: str) -> int:
    line = next(line for line in status.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1])


if __name__ == "__main__":
    length_s, files = int(sys.argv[1]), [Path(name) for name in sys.argv[2:]]
    print(json.dumps(measure_stream(length_s, files[0]) if files else measure(length_s)))
