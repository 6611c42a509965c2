"""What miniature corpora are made of: synthetic sound in real containers, tables as they are published."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from training import synth
from training.codecs import Codec, encode

Maker = Callable[[Path], Path]


CODECS = {
    ".webm": ("webm", "libopus", "s16"),
    ".ogg": ("ogg", "libopus", "s16"),
    ".mp3": ("mp3", "libmp3lame", "s16p"),
    ".wav": ("wav", "pcm_s16le", "s16"),
    ".flac": ("flac", "flac", "s16"),
}
"""Extension -> container, encoder, sample format."""


def sound(path: Path, *, seed: int, cough: bool = True, rate_hz: int = 48_000, seconds: float = 1.2) -> None:
    """A cough, or some babble, in the container that the name says."""
    random = np.random.default_rng(seed)
    n = round(seconds * 16_000)
    if cough:
        samples = 0.002 * random.standard_normal(n)
        one = synth.cough(random)[: n // 2]
        samples[n // 4 : n // 4 + len(one)] += 0.6 * one
    else:
        samples = synth.babble(random, duration_s=2.0)[:n]
    container, encoder, sample_format = CODECS[path.suffix]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(samples, Codec(container, encoder, rate_hz, None, sample_format)))


def table(
    path: Path, header: Sequence[str], rows: Sequence[Sequence[object]], *, delimiter: str = ","
) -> None:
    """A csv file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(header)
        writer.writerows(rows)
