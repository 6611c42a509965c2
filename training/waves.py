"""Decode a corpus once: every recording, and one phone-codec round trip of it, as int16 on disk."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.progress import track

from cough.audio import SAMPLE_RATE_HZ, decode
from training.codecs import PHONE_CODECS, round_trip
from training.corpus import Corpus


@dataclass(frozen=True)
class Waves:
    """Waveforms of a corpus; row i is ``corpus.recordings[i]``."""

    clean: np.ndarray
    """All samples end to end, int16, memory-mapped."""
    phone: np.ndarray
    """The same after a codec that a phone or a telephone line would use."""
    starts: np.ndarray
    """(n_recordings + 1,) int64: row i is ``clean[starts[i]:starts[i + 1]]``."""

    def samples(self, row: int, *, phone: bool = False) -> np.ndarray:
        """(n_samples,) float32 in [-1, 1] at 16 kHz."""
        source = self.phone if phone else self.clean
        return source[self.starts[row] : self.starts[row + 1]].astype(np.float32) / 32768.0


def cached_waves(corpus: Corpus, cache: Path, *, seed: int, workers: int = 2) -> Waves:
    """The corpus decoded, from ``cache`` or made there (about 1.2 GB twice for 9.6 h).

    A folder appears under its final name only when complete, so an interrupted run starts clean.
    """
    folder = cache / f"waves-{corpus.data_hash[:16]}-{seed}"
    if not folder.exists():
        partial = folder.with_suffix(f".partial{os.getpid()}")
        partial.mkdir(parents=True, exist_ok=True)
        _fill(corpus, partial, seed=seed, workers=workers)
        partial.replace(folder)
    return Waves(
        np.load(folder / "clean.npy", mmap_mode="r"),
        np.load(folder / "phone.npy", mmap_mode="r"),
        np.load(folder / "starts.npy"),
    )


def _fill(corpus: Corpus, folder: Path, *, seed: int, workers: int) -> None:
    jobs = [
        (str(corpus.root / r.path), int(np.random.default_rng([seed, i]).integers(len(PHONE_CODECS))))
        for i, r in enumerate(corpus.recordings)
    ]
    clean, phone = [], []
    with ProcessPoolExecutor(workers) as pool:
        done = pool.map(_decode_one, jobs, chunksize=32)
        for a, b in track(done, total=len(jobs), description="decoding the corpus"):
            clean.append(a)
            phone.append(b)
    starts = np.concatenate([[0], np.cumsum([len(a) for a in clean])]).astype(np.int64)
    np.save(folder / "clean.npy", np.concatenate(clean))
    np.save(folder / "phone.npy", np.concatenate(phone))
    np.save(folder / "starts.npy", starts)


def _decode_one(job: tuple[str, int]) -> tuple[np.ndarray, np.ndarray]:
    path, codec = job
    samples = decode(path).samples
    return _int16(samples), _int16(round_trip(samples, PHONE_CODECS[codec]))


def _int16(samples: np.ndarray) -> np.ndarray:
    return np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16)


def seconds(waves: Waves) -> float:
    """Total duration of the corpus."""
    return float(waves.starts[-1] / SAMPLE_RATE_HZ)
