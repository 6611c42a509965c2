"""Decode a corpus once: every recording, and one phone-codec round trip of it, as int16 on disk."""

from __future__ import annotations

import hashlib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.progress import track

from cough.audio import decode
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
    sha256: str
    """Of both waveforms: what a model trained on them depends on, whatever code decoded them."""

    def samples(self, row: int, *, phone: bool = False) -> np.ndarray:
        """(n_samples,) float32 in [-1, 1] at 16 kHz."""
        source = self.phone if phone else self.clean
        return source[self.starts[row] : self.starts[row + 1]].astype(np.float32) / 32768.0


def read_waves(folder: Path) -> Waves:
    """Open what ``write_waves`` wrote, memory-mapped."""
    return Waves(
        np.load(folder / "clean.npy", mmap_mode="r"),
        np.load(folder / "phone.npy", mmap_mode="r"),
        np.load(folder / "starts.npy"),
        (folder / "sha256").read_text(),
    )


def write_waves(corpus: Corpus, folder: Path, *, seed: int, workers: int) -> None:
    """Decode every recording into ``folder`` (about 1.1 GB twice for 9.6 h)."""
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
    digest = hashlib.sha256()
    for name, parts in (("clean", clean), ("phone", phone)):
        joined = np.concatenate(parts)
        digest.update(joined.data)
        np.save(folder / f"{name}.npy", joined)
    (folder / "sha256").write_text(digest.hexdigest())
    np.save(folder / "starts.npy", starts)


def _decode_one(job: tuple[str, int]) -> tuple[np.ndarray, np.ndarray]:
    path, codec = job
    samples = decode(path).samples
    return _int16(samples), _int16(round_trip(samples, PHONE_CODECS[codec]))


def _int16(samples: np.ndarray) -> np.ndarray:
    return np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16)
