"""Coverage-guided fuzzing of ``decode`` with atheris, from small recordings in every container.

::

    pip install atheris                                     # not in any extra: wheels for few platforms
    python -m tests.cough.fuzz --seconds 600 runs/fuzz      # keeps what it finds in runs/fuzz

Any error but ``InputError`` is a finding: atheris stops, prints the traceback, and writes the input
to ``crash-*``. So are an answer later than 5 s and more than 2 GB.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from cough.audio import DecodeLimits, decode
from cough.errors import InputError
from training.codecs import Codec, encode

LIMITS = DecodeLimits(max_bytes=1 << 20, max_seconds=20.0)
SEEDS = {
    "wav": Codec("wav", "pcm_s16le", 16_000, None),
    "flac": Codec("flac", "flac", 16_000, None),
    "ogg": Codec("ogg", "libopus", 48_000, 12_000),
    "webm": Codec("webm", "libopus", 48_000, 12_000),
    "m4a": Codec("ipod", "aac", 16_000, 24_000, "fltp"),
    "mp3": Codec("mp3", "libmp3lame", 16_000, 24_000, "s16p"),
    "amr": Codec("amr", "libopencore_amrnb", 8_000, 12_200),
}


def decode_one(data: bytes) -> None:
    """Decode, and take every documented refusal for an answer."""
    try:
        waveform = decode(data, limits=LIMITS)
    except InputError:
        return
    if not (np.isfinite(waveform.samples).all() and np.abs(waveform.samples).max(initial=0.0) <= 1.0):
        raise ValueError("samples out of range")


def main() -> None:
    """Command line; everything after the folder goes to libFuzzer."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("folder", type=Path, help="inputs found so far, and those to be found")
    options, others = parser.parse_known_args()
    import atheris  # not installed with the tests

    options.folder.mkdir(parents=True, exist_ok=True)
    noise = (np.random.default_rng(0).standard_normal(4_000) * 0.1).astype(np.float32)
    for name, codec in SEEDS.items():
        (options.folder / f"seed.{name}").write_bytes(encode(noise, codec))
    atheris.instrument_all()
    limits = [f"-max_total_time={options.seconds}", "-timeout=5", "-rss_limit_mb=2048", "-max_len=65536"]
    atheris.Setup([sys.argv[0], str(options.folder), *limits, *others], decode_one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
