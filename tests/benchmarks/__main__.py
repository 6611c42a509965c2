"""Speed as ratios against references measured in the same run: ``make bench``.

Everything on one thread, on ten seconds of synthetic sound, median of many runs. Absolute times
depend on the machine; the ratios mostly do not.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[variable] = "1"

import librosa
import numpy as np
import torch

from cough.audio import Waveform, decode
from cough.screener import Screener
from tests.benchmarks.reference import MobileNetV1
from training import synth
from training.codecs import Codec, encode

SECONDS = 10


def median_ms(action: Callable[[], object], *, repeats: int) -> float:
    """Median wall time of ``action`` in ms, after two runs to warm up."""
    action()
    action()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        action()
        times.append((time.perf_counter() - began) * 1e3)
    return statistics.median(times)


def measure(repeats: int) -> dict[str, float]:
    """ms per ten seconds of audio for each part and each reference."""
    torch.set_num_threads(1)
    bout = synth.cough_bout(np.random.default_rng(0), coughs=5, duration_s=SECONDS).astype(np.float32)
    screener = Screener()
    m4a = encode(bout, Codec("ipod", "aac", 44_100, 64_000, "fltp"))
    webm = encode(bout, Codec("webm", "libopus", 48_000, 32_000))
    waveform = Waveform.from_samples(bout, rate_hz=16_000)
    events = screener.gate.detect(bout).events
    yamnet_like = MobileNetV1().eval()
    patches = torch.randn(SECONDS * 2, 1, 96, 64)

    def reference() -> None:
        with torch.inference_mode():
            yamnet_like(patches)

    return {
        "decode m4a": median_ms(lambda: decode(m4a), repeats=repeats),
        "decode webm": median_ms(lambda: decode(webm), repeats=repeats),
        "gate": median_ms(lambda: screener.gate.detect(bout), repeats=repeats),
        f"encoder ({len(events)} coughs)": median_ms(
            lambda: screener.encoder.embed(bout, events), repeats=repeats
        ),
        "whole flow, decoded": median_ms(lambda: screener.screen(waveform), repeats=repeats),
        "whole flow, m4a": median_ms(lambda: screener.screen(m4a), repeats=repeats),
        "reference: librosa log-mel": median_ms(
            lambda: librosa.power_to_db(
                librosa.feature.melspectrogram(y=bout, sr=16_000, n_fft=512, hop_length=160, n_mels=64)
            ),
            repeats=repeats,
        ),
        "reference: MobileNetV1 body of YAMNet's size, torch": median_ms(reference, repeats=repeats),
    }


def main() -> None:
    """Print a table, or JSON with ``--json``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    figures = measure(arguments.repeats)
    if arguments.json:
        print(json.dumps(figures))
        return
    print(f"{'ms per 10 s of audio, one thread':55} {'ms':>8} {'x real time':>12} {'of reference':>13}")
    reference = figures["reference: MobileNetV1 body of YAMNet's size, torch"]
    for name, value in figures.items():
        print(f"{name:55} {value:8.2f} {SECONDS * 1e3 / value:12.0f} {value / reference:13.2f}")


if __name__ == "__main__":
    main()
