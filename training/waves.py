"""Decode a corpus once: every recording, and one phone-codec round trip of it, as int16 on disk."""

from __future__ import annotations

import hashlib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.progress import track

from cough.audio import decode
from cough.processes import leave_with_the_parent
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

    def length(self, row: int) -> int:
        """Samples of a recording."""
        return int(self.starts[row + 1] - self.starts[row])

    def samples(self, row: int, begin: int = 0, end: int | None = None, *, phone: bool = False) -> np.ndarray:
        """Samples [begin, end) of a recording, or all: (n_samples,) float32 in [-1, 1] at 16 kHz."""
        source = self.phone if phone else self.clean
        recording = source[self.starts[row] : self.starts[row + 1]]
        return recording[begin:end].astype(np.float32) / 32768.0


def read_waves(folder: Path) -> Waves:
    """Open what ``write_waves`` wrote, memory-mapped."""
    return Waves(
        np.load(folder / "clean.npy", mmap_mode="r"),
        np.load(folder / "phone.npy", mmap_mode="r"),
        np.load(folder / "starts.npy"),
        (folder / "sha256").read_text(),
    )


def write_waves(corpus: Corpus, folder: Path, *, seed: int, workers: int) -> None:
    """Decode every recording into ``folder`` (about 1.1 GB twice for 9.6 h), in memory that does not grow."""
    jobs = [
        (str(corpus.root / r.path), int(np.random.default_rng([seed, i]).integers(len(PHONE_CODECS))))
        for i, r in enumerate(corpus.recordings)
    ]
    lengths = []
    with (
        ProcessPoolExecutor(workers, initializer=leave_with_the_parent) as pool,
        _Growing(folder / "clean.npy") as clean,
        _Growing(folder / "phone.npy") as phone,
    ):
        done = pool.map(_decode_one, jobs, chunksize=32)
        for a, b in track(done, total=len(jobs), description="decoding the corpus"):
            clean.append(a)
            phone.append(b)
            lengths.append(len(a))
    digest = hashlib.sha256()
    for name in ("clean", "phone"):
        with open(folder / f"{name}.npy", "rb") as file:
            file.seek(_Growing.HEADER_BYTES)
            while block := file.read(1 << 24):
                digest.update(block)
    (folder / "sha256").write_text(digest.hexdigest())
    np.save(folder / "starts.npy", np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))


class _Growing:
    """An ``.npy`` file of int16 that is appended to; its header is written when its length is known."""

    HEADER_BYTES = 128
    """What numpy's header of a one-dimensional array takes, whatever its length."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "wb")  # noqa: SIM115
        self._file.write(bytes(self.HEADER_BYTES))
        self._n = 0

    def __enter__(self) -> _Growing:
        return self

    def append(self, samples: np.ndarray) -> None:
        """Add (n,) int16 samples."""
        self._file.write(samples.astype("<i2").tobytes())
        self._n += len(samples)

    def __exit__(self, *error: object) -> None:
        self._file.seek(0)
        header = {"descr": "<i2", "fortran_order": False, "shape": (self._n,)}
        np.lib.format.write_array_header_1_0(self._file, header)
        self._file.close()


def _decode_one(job: tuple[str, int]) -> tuple[np.ndarray, np.ndarray]:
    path, codec = job
    samples = decode(path).samples
    return _int16(samples), _int16(round_trip(samples, PHONE_CODECS[codec]))


def _int16(samples: np.ndarray) -> np.ndarray:
    return np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16)
