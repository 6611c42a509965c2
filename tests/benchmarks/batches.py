"""``cough batch``: times real time for each core, what a second process brings, and a million rows.

    python -m tests.benchmarks.batches            # as JSON
    python -m tests.benchmarks.batches --rows 20000     # fewer than a million

Targets: 400 times real time a core, two processes 1.8 times one. A million rows are planned, sharded,
journalled and joined in memory that does not grow; of each shard two recordings are screened, and their
rows stand for the others. Where a clip's milliseconds go is processor time, in
one process and by turns; real-time factors are by the clock and so need a machine with nothing else to do.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cough.audio import SAMPLE_RATE_HZ, decode
from cough.batch import run_batch
from cough.journal import EVENTS, PREDICTIONS
from cough.manifest import Recording
from cough.predictions import encode_table
from cough.run import Run, Shard
from cough.screener import Screener
from cough.workers import shard_table
from training import synth

SECONDS, CLIPS, ROWS, TURNS = 10, 400, 1_000_000, 25
SHARD_ROWS, SCREENED = 4_096, 2
"""Of the million rows: in a shard, and of each shard screened for real (one m4a, one opus)."""
NAMES = {"m4a": "clip.m4a", "opus": "clip.ogg"}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=ROWS, help="in the place of a million")
    n_rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        one, two = (_speed(folder, workers) for workers in (1, 2))
        print(
            json.dumps(
                {
                    "real_time_factor_of_one_process": round(one),
                    "two_processes_against_one": round(two / one, 2),
                    "cores": os.cpu_count(),
                    "processor_ms_of_a_clip": {
                        codec: _stages(folder / file) for codec, file in NAMES.items()
                    },
                    "many_rows": many_rows(folder, n_rows),
                },
                indent=1,
            )
        )


def _speed(folder: Path, workers: int) -> float:
    """Seconds of audio a second, start of the processes left out by a first run of one clip each."""
    run = Run.plan(_manifest(folder, CLIPS)).model_copy(update={"shard_rows": 16})
    began: list[float] = []
    done: list[tuple[float, float]] = []

    def progress(_: int, seconds: float) -> None:
        now = time.perf_counter()
        if len(began) < 2 * workers:
            began.append(now)
        else:
            done.append((now, seconds))

    run_batch(run, folder / f"out{workers}", workers=workers, progress=progress)
    return sum(seconds for _, seconds in done) / (done[-1][0] - began[-1])


def _stages(clip: Path) -> dict[str, float]:
    """Median processor ms of each step of a row; ``rest``: quality, fingerprint, levels, the row."""
    screener = Screener()
    row = Shard(0, ((Recording(recording_id=clip.stem, path=clip.name), str(clip)),))
    taken: dict[str, list[float]] = defaultdict(list)
    for _ in range(TURNS):
        laps = [time.process_time()]
        encode_table(shard_table(screener, row))
        laps.append(time.process_time())
        samples = decode(clip).samples
        laps.append(time.process_time())
        events = screener.gate.detect(samples).events
        laps.append(time.process_time())
        embeddings = screener.encoder.embed(samples, events)
        laps.append(time.process_time())
        for _, voters in screener.diagnosis.conditions:
            for voter in voters:
                voter.vote(samples, events, embeddings)
        laps.append(time.process_time())
        for name, ms in zip(
            ("whole", "decode", "gate", "encoder", "voters"), np.diff(laps) * 1e3, strict=True
        ):
            taken[name].append(float(ms))
    stages = {name: statistics.median(times) for name, times in taken.items()}
    whole = stages.pop("whole")
    stages |= {"rest": whole - sum(stages.values()), "whole": whole, "coughs": len(events)}
    return {name: round(value, 1) for name, value in stages.items()}


def _manifest(folder: Path, rows: int) -> Path:
    """Ten-second m4a and opus clips, by turns; repeated files."""
    rng = np.random.default_rng(1)
    bout = np.resize(synth.cough_bout(rng), SECONDS * SAMPLE_RATE_HZ).astype(np.float32)
    for name, codec in ((NAMES["m4a"], "aac"), (NAMES["opus"], "libopus")):
        if not (folder / name).exists():
            _encode(folder / name, codec, bout)
    path = folder / f"{rows}.csv"
    with open(path, "w") as file:
        file.write("recording_id,path,group_id\n")
        file.writelines(f"r{i},{NAMES['m4a' if i % 2 else 'opus']},p{i % 1000}\n" for i in range(rows))
    return path


def _encode(path: Path, codec: str, samples: np.ndarray) -> None:
    rate_hz = 48_000
    loud = np.repeat(samples, rate_hz // SAMPLE_RATE_HZ)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate_hz, layout="mono")
        frame = av.AudioFrame.from_ndarray(loud[None], format="flt", layout="mono")
        frame.sample_rate = rate_hz
        resampler = av.AudioResampler(stream.format, "mono", rate_hz, stream.codec_context.frame_size or 960)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))


def many_rows(folder: Path, rows: int, *, shard_rows: int = SHARD_ROWS) -> dict[str, float]:
    """Seconds to plan, shard, journal and join so many rows, and by how many MB peak memory grew over them.

    Growth is what comes on top of a run of four shards, which every part of the code has seen.
    """
    _screened_in_part(folder, 4 * shard_rows, shard_rows)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    out = _screened_in_part(folder, rows, shard_rows)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {
        "rows": pq.read_metadata(out / PREDICTIONS).num_rows,
        "events": pq.read_metadata(out / EVENTS).num_rows,
        "seconds": round(time.perf_counter() - began, 1),
        "peak_growth_mb": round(grown / 1e3, 1),
    }


def _screened_in_part(folder: Path, rows: int, shard_rows: int) -> Path:
    run = Run.plan(_manifest(folder, rows)).model_copy(update={"shard_rows": shard_rows})
    return run_batch(run, folder / f"rows{rows}", engine=in_part)


def in_part(_: Run, shards: Iterator[Shard]) -> Iterator[tuple[int, pa.Table]]:
    """An engine that screens the first rows of a shard; the others get what those got."""
    screener = Screener()
    for shard in shards:
        real = shard_table(screener, Shard(shard.index, shard.rows[:SCREENED]))
        table = real.take(np.arange(len(shard.rows)) % real.num_rows)
        for name in ("recording_id", "path"):
            cells = pa.array([getattr(recording, name) for recording, _ in shard.rows])
            table = table.set_column(table.schema.get_field_index(name), name, cells)
        yield shard.index, table


if __name__ == "__main__":
    main()
