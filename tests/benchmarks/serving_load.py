"""Load on the service over loopback, all limits on, beside the in-process ``Screener`` of the same run.

::

    apt-get install hey
    python -m tests.benchmarks.serving_load                        # some 10 minutes
    python -m tests.benchmarks.serving_load --seconds 5 --clients 1 4 --workers 1
    python -m tests.benchmarks.serving_load --soak 600             # below capacity: no request may fail

``hey`` sends the load: a Go program in Debian, which costs a small part of what the service does on
the same cores; Python tools (locust among them) cost as much as the service and would measure
themselves. Run it on an idle machine; what else runs is in the figures.

Printed for each number of workers, recording and number of clients: answers a second, percentiles
of those that were 200, how many were turned away (503), failed otherwise, and memory. Then the
ratios that the targets name.
"""

from __future__ import annotations

import argparse
import csv
import io
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cough.screener import Screener
from tests.serving.process import live_service
from training import synth
from training.codecs import Codec, encode

UNLIMITED = "100000000/minute"
"""Counted, and never reached."""


class Measured(NamedTuple):
    """One stretch of load; times in milliseconds."""

    per_s: float
    p50: float
    p95: float
    p99: float
    shed: int
    failed: int

    def __str__(self) -> str:
        return (
            f"{self.per_s:8.1f}/s {self.p50:8.1f} {self.p95:8.1f} {self.p99:8.1f} ms"
            f" {self.shed:7} shed {self.failed:4} failed"
        )


def recordings() -> dict[str, bytes]:
    """The two uploads: what a browser and a phone record."""
    rng = np.random.default_rng(3)
    bouts = np.concatenate([synth.cough_bout(rng) for _ in range(4)]).astype(np.float32)
    return {
        "5 s webm": encode(bouts[: 5 * 16_000], Codec("webm", "libopus")),
        "10 s m4a": encode(bouts[: 10 * 16_000], Codec("ipod", "aac", 44_100, None, "fltp")),
    }


def in_process_ms(screener: Screener, data: bytes, *, n: int = 50) -> float:
    """Median time of ``Screener.screen``."""
    screener.screen(data)
    times = []
    for _ in range(n):
        began = time.perf_counter()
        screener.screen(data)
        times.append((time.perf_counter() - began) * 1e3)
    return statistics.median(times)


def load(url: str, file: Path, *, clients: int, seconds: float) -> Measured:
    """Have ``clients`` send the file one after another, for about ``seconds``."""
    short = send(url, file, clients=clients, n=10 * clients)
    requests_per_s = short.per_s * 10 * clients / max(1, 10 * clients - short.shed)
    return send(url, file, clients=clients, n=max(clients, round(requests_per_s * seconds)))


def send(url: str, file: Path, *, clients: int, n: int, per_s: float | None = None) -> Measured:
    """Send ``n`` requests; a number and not a time, because what ``hey`` loses altogether has no row.

    ``per_s`` limits all clients together.
    """
    each = max(1, n // clients)
    command = ["hey", "-n", str(each * clients), "-c", str(clients), "-t", "60", "-o", "csv"]
    command += ["-m", "POST", "-T", "audio/mp4", "-D", str(file)]
    if per_s is not None:
        command += ["-q", f"{per_s / clients:g}"]
    done = subprocess.run([*command, f"{url}/v1/screenings"], capture_output=True, text=True, check=True)
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    seconds = max(float(row["offset"]) + float(row["response-time"]) for row in rows)
    times = [1e3 * float(row["response-time"]) for row in rows if row["status-code"] == "200"]
    shed = sum(row["status-code"] == "503" for row in rows)
    p50, p95, p99 = np.percentile(times or [np.nan], [50, 95, 99])
    return Measured(len(times) / seconds, p50, p95, p99, shed, each * clients - len(times) - shed)


def sweep(
    workers: int, files: dict[str, Path], clients: Sequence[int], seconds: float
) -> dict[str, list[Measured]]:
    """All numbers of clients at one number of workers."""
    results: dict[str, list[Measured]] = {}
    with live_service(workers=workers, rate=UNLIMITED) as live:
        for name, file in files.items():
            load(live.url, file, clients=workers, seconds=2)
            before = live.rss_mb
            for n in clients:
                measured = load(live.url, file, clients=n, seconds=seconds)
                results.setdefault(name, []).append(measured)
                print(f"{workers} workers  {name}  {n:3} clients  {measured}")
            print(f"           RSS {_mb(before)} -> {_mb(live.rss_mb)} MB")
    return results


def past_capacity(workers: int, file: Path, seconds: float) -> Measured:
    """64 clients, with the settings that ship."""
    with live_service(workers=workers, rate=UNLIMITED) as live:
        load(live.url, file, clients=workers, seconds=2)
        return load(live.url, file, clients=64, seconds=seconds)


def soak(file: Path, seconds: float, per_s: float) -> int:
    """Below capacity for long; the exit code."""
    with live_service(workers=2, rate=UNLIMITED) as live:
        load(live.url, file, clients=2, seconds=5)
        before = live.rss_mb
        measured = send(live.url, file, clients=2, n=round(seconds * per_s), per_s=per_s)
        print(f"soak {seconds:g} s at {per_s:g}/s: {measured}; RSS {_mb(before)} -> {_mb(live.rss_mb)} MB")
    return int(bool(measured.shed or measured.failed))


def _mb(figures: list[float]) -> str:
    return "+".join(f"{mb:.0f}" for mb in figures)


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=15.0, help="for each row")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 2, 4, 16, 64])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--soak", type=float, help="only this: seconds below capacity")
    parser.add_argument("--soak-rate", type=float, default=10.0, help="recordings a second of the soak")
    options = parser.parse_args()
    if shutil.which("hey") is None:
        print("hey is not installed (Debian: apt-get install hey)", file=sys.stderr)
        return 2
    uploads = recordings()
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder) / name.replace(" ", "_") for name in uploads}
        for name, data in uploads.items():
            files[name].write_bytes(data)
        if options.soak:
            return soak(files["10 s m4a"], options.soak, options.soak_rate)
        screener = Screener()
        alone = {name: in_process_ms(screener, data) for name, data in uploads.items()}
        results = {n: sweep(n, files, options.clients, options.seconds) for n in options.workers}
        again = {name: in_process_ms(screener, data) for name, data in uploads.items()}
        print()
        for name in uploads:
            ours = min(alone[name], again[name])
            first = results[options.workers[0]][name]
            unloaded = first[0]
            print(f"{name}: in process {alone[name]:.1f} ms before, {again[name]:.1f} ms after")
            print(
                f"  over HTTP at {options.clients[0]} client: {unloaded.p50 / ours:.2f} of it (target 1.25)"
            )
            if 4 in options.clients:
                at_4 = first[options.clients.index(4)]
                print(f"  p99/p50 at 4 clients: {at_4.p99 / at_4.p50:.2f} (target 4)")
            if len(options.workers) > 1:
                best = [max(row.per_s for row in results[n][name]) for n in options.workers[:2]]
                ratio = best[1] / best[0]
                print(f"  {options.workers[1]} workers give {ratio:.2f} of {options.workers[0]} (target 1.7)")
            shedding = past_capacity(options.workers[0], files[name], options.seconds)
            print(f"  past capacity, 64 clients: {shedding}")
            print(f"  p99 of what was accepted: {shedding.p99 / unloaded.p99:.2f} of unloaded (target 2)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
