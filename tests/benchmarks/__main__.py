"""Speed as ratios against references measured in the same run: ``make bench``.

Everything on one thread and ten seconds of synthetic sound. Parts and references take turns, so that a
busy machine slows them alike; each figure is a median. Absolute times depend on the machine, ratios
mostly do not. Then the gate alone in fresh processes on 10, 60 and 600 seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[variable] = "1"

import librosa
import numpy as np
import onnxruntime as ort
import torch

from cough.audio import SAMPLE_RATE_HZ, Waveform, decode
from cough.screener import Screener
from tests.benchmarks.durations import measure_apart
from tests.benchmarks.reference import MobileNetV1, front_end, to_onnx, yamnet_patches
from training import synth
from training.codecs import Codec, encode

SECONDS = 10
GATE = "gate"
REFERENCE = "reference: MobileNetV1 body of YAMNet's size, torch"
TARGET = 3.0
"""The gate shall be at least this many times as fast as the reference."""


def actions() -> dict[str, Callable[[], object]]:
    """What is timed, by name; each works on the same ten seconds."""
    torch.set_num_threads(1)
    bout = synth.cough_bout(np.random.default_rng(0), coughs=5, duration_s=SECONDS).astype(np.float32)
    screener = Screener()
    gate = screener.gate
    waveform = Waveform.from_samples(bout, rate_hz=SAMPLE_RATE_HZ)
    events = gate.detect(bout).events
    m4a = encode(bout, Codec("ipod", "aac", 44_100, 64_000, "fltp"))
    webm = encode(bout, Codec("webm", "libopus", 48_000, 32_000))

    hop = round(gate.hop_s * SAMPLE_RATE_HZ)
    around_s = gate.spec.context_s if gate.spec.edge_s is None else gate.spec.edge_s
    window = np.pad(bout, -(-round(around_s * SAMPLE_RATE_HZ) // hop) * hop)[
        None
    ]  # what the gate measures for these ten seconds
    features = session(to_onnx(front_end(), torch.from_numpy(window)))
    network, patches = MobileNetV1().eval(), yamnet_patches(SECONDS)
    network_onnx = session(to_onnx(network, patches))

    def reference() -> None:
        with torch.inference_mode():
            network(patches)

    return {
        "decode m4a": lambda: decode(m4a),
        "decode webm": lambda: decode(webm),
        GATE: lambda: gate.detect(bout),
        "gate's front end alone: log-mel, local level": lambda: features.run(None, {"input": window}),
        f"encoder ({len(events)} coughs)": lambda: screener.encoder.embed(bout, events),
        "whole flow, decoded": lambda: screener.screen(waveform),
        "whole flow, m4a": lambda: screener.screen(m4a),
        "reference: librosa log-mel": lambda: librosa.power_to_db(
            librosa.feature.melspectrogram(y=bout, sr=SAMPLE_RATE_HZ, n_fft=512, hop_length=160, n_mels=64)
        ),
        REFERENCE: reference,
        "the same body in ONNX Runtime": lambda: network_onnx.run(None, {"input": patches.numpy()}),
    }


def session(model: bytes) -> ort.InferenceSession:
    """On one thread, as the library runs its own graphs."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return ort.InferenceSession(model, sess_options=options, providers=["CPUExecutionProvider"])


def measure(repeats: int) -> dict[str, float]:
    """Median ms of each action over ``repeats`` rounds, after two rounds to warm up."""
    todo = actions()
    times: dict[str, list[float]] = {name: [] for name in todo}
    for _ in range(repeats + 2):
        for name, action in todo.items():
            began = time.perf_counter()
            action()
            times[name].append((time.perf_counter() - began) * 1e3)
    return {name: statistics.median(taken[2:]) for name, taken in times.items()}


def as_text(figures: dict[str, Any]) -> str:
    """The tables that ``make bench`` prints."""
    parts = figures["ms_per_10_s"]
    lines = [f"{'ms per 10 s of audio, one thread':53} {'ms':>8} {'x real time':>12} {'of reference':>13}"]
    for name, ms in parts.items():
        lines.append(f"{name:53} {ms:8.2f} {SECONDS * 1e3 / ms:12.0f} {ms / parts[REFERENCE]:13.2f}")
    ratio = figures["gate_times_faster_than_reference"]
    lines += [
        "",
        f"the gate is {ratio:.1f} times as fast as the reference (target: at least {TARGET:.0f})",
        "",
    ]
    lines.append(f"{'gate alone, fresh process':53} {'ms per 10 s':>12} {'peak memory growth, MB':>23}")
    rows = [("of audio", row) for row in figures["gate_by_duration"]]
    rows += [
        ("of a flac, decoded and heard in pieces", row) for row in figures["events_of_a_file_by_duration"]
    ]
    for of, row in rows:
        name = f"{row['seconds']} s {of}"
        growth = "not on this system" if row["peak_growth_mb"] is None else f"{row['peak_growth_mb']:.0f}"
        lines.append(f"{name:53} {row['ms_per_10_s']:12.2f} {growth:>23}")
    return "\n".join(lines)


def main() -> None:
    """Print tables, or JSON with ``--json``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    parts = measure(arguments.repeats)
    with tempfile.TemporaryDirectory() as folder:
        streams = [measure_apart(seconds, Path(folder) / "night.flac") for seconds in (600, 7_200)]
    figures = {
        "ms_per_10_s": parts,
        "gate_times_faster_than_reference": parts[REFERENCE] / parts[GATE],
        "gate_by_duration": [measure_apart(seconds) for seconds in (10, 60, 600)],
        "events_of_a_file_by_duration": streams,
    }
    print(json.dumps(figures) if arguments.json else as_text(figures))


if __name__ == "__main__":
    main()
