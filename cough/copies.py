"""Copies of one sound among recordings.

They are looked for in two ways: recordings whose decoded samples are equal, and recordings whose loudest
second has nearly the same embedding and then also the same course of sound. A copy matters where it stands
under two subjects, in two splits, or with two labels.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import IO

import numpy as np
import numpy.typing as npt

from cough import errors
from cough.audio import SAMPLE_RATE_HZ, Float32
from cough.manifest import UNKNOWN, Recording

NEAR_COSINE = 0.98
"""Embeddings of one loudest second that agree more than this are compared by ear."""
NEAR_CORRELATION = 0.9
"""Two pieces of sound that correlate more than this, at the best shift, are one."""
ROUNDING = 0.001
"""Of products of spectra in single precision."""
FFT_SIZE = 1 << 15
"""Holds two seconds: a shifted second meets no end of the other."""
BLOCK = 512
"""Recordings compared with as many others at a time."""


@dataclass
class Heard:
    """What is kept of a recording to be compared with others."""

    line: int
    recording: Recording
    labels: dict[str, str]
    """Event and every status that is claimed; no status where ``label_conflict`` already says that it is not
    to be used."""
    sha256: str
    embedding: Float32
    piece: int
    """The loudest second's number in ``Pieces``."""
    audible: bool
    """Digital silence is nobody's copy."""


class Pieces:
    """Loudest seconds by their number, all added before the first is read.

    Parameters
    ----------
    file : empty, for reading and writing
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._n = 0

    def add(self, piece: npt.NDArray[np.float16]) -> int:
        """Keep up to a second, with silence after it.

        Raises
        ------
        OutputUnwritable : the disk for temporary files does not take it
        """
        second = np.zeros(SAMPLE_RATE_HZ, np.float16)
        second[: len(piece)] = piece
        try:
            self._file.write(second.tobytes())
        except OSError as error:
            raise errors.OutputUnwritable(
                f"Temporary files cannot be written ({error.strerror}); TMPDIR names another folder for them."
            ) from error
        self._n += 1
        return self._n - 1

    def __getitem__(self, number: int) -> Float32:
        size = SAMPLE_RATE_HZ * np.dtype(np.float16).itemsize
        self._file.seek(number * size)
        return np.frombuffer(self._file.read(size), np.float16).astype(np.float32)

    def spectra(self, numbers: Iterable[int]) -> Float32:
        """Magnitudes of pieces, of unit length; (n, ``FFT_SIZE`` // 2 + 1), a row of zeros for silence.

        The product of two rows is at least the correlation of their pieces, whatever the shift: that is the
        mean of the products of spectra, each turned by its phase.
        """
        rows = np.stack([np.abs(np.fft.rfft(self[number], FFT_SIZE)) for number in numbers])
        rows[:, 1:-1] *= np.sqrt(2)  # once for each of the two halves
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.asarray(rows / np.where(length > 0, length, 1), np.float32)


def loudest_s(samples: Float32) -> float:
    """Middle of the 0.1 s of most energy, to the sample: a cut-off start must not choose another."""
    size = min(len(samples), SAMPLE_RATE_HZ // 10)
    energy = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    return (int(np.argmax(energy[size:] - energy[:-size])) + size / 2) / SAMPLE_RATE_HZ


def copies(
    heard: list[Heard], pieces: Pieces, progress: Callable[[], None]
) -> Iterator[tuple[str, Heard, str]]:
    """Copies that stand under two subjects, in two splits or with two labels: code, which, and a sentence.

    Parameters
    ----------
    progress : called once for each of ``heard``
    """
    audible = [h for h in heard if h.audible]
    for _ in range(len(heard) - len(audible)):
        progress()
    same: dict[str, list[Heard]] = defaultdict(list)
    for one in audible:
        same[one.sha256].append(one)
    for first, *others in same.values():
        for one in others:
            yield from _copy(one, first, "duplicate_audio")
        yield from _conflicts([first, *others])
    for begin in range(0, len(audible), BLOCK):
        some = audible[begin : begin + BLOCK]
        for start in range(0, begin + 1, BLOCK):
            for one, other in _alike(some, audible[start : start + BLOCK], pieces):
                if correlation(pieces[one.piece], pieces[other.piece]) >= NEAR_CORRELATION:
                    yield from _copy(one, other, "near_duplicate_audio")
                    yield from _conflicts([other, one])
        for _ in some:
            progress()


def _alike(some: list[Heard], others: list[Heard], pieces: Pieces) -> Iterator[tuple[Heard, Heard]]:
    """Pairs, the later line first, that may be copies and would matter."""
    near = np.stack([h.embedding for h in some]) @ np.stack([h.embedding for h in others]).T >= NEAR_COSINE
    if not near.any():
        return
    # Millions of pairs of speech or noise are as near as that: one product for all, not a transform for each.
    near &= _spectra(some, pieces) @ _spectra(others, pieces).T >= NEAR_CORRELATION - ROUNDING
    for i, j in zip(*np.nonzero(near), strict=True):
        one, other = some[int(i)], others[int(j)]
        if other.line < one.line and other.sha256 != one.sha256 and _at_odds(one, other):
            yield one, other


def _spectra(heard: list[Heard], pieces: Pieces) -> Float32:
    return pieces.spectra(h.piece for h in heard)


def _at_odds(one: Heard, other: Heard) -> list[str]:
    a, b = one.recording, other.recording
    odds = []
    if a.subject_id != b.subject_id or a.subject_id == UNKNOWN:
        odds.append(f"subjects {a.subject_id} and {b.subject_id}")
    if a.split != b.split:
        odds.append(f"splits {a.split or 'none'} and {b.split or 'none'}")
    for column in sorted({*one.labels, *other.labels}):
        words = [h.labels.get(column, "nothing") for h in (one, other)]
        if words[0] != words[1]:
            odds.append(f"{column} {' and '.join(words)}")
    return odds


def _copy(one: Heard, other: Heard, code: str) -> Iterator[tuple[str, Heard, str]]:
    odds = _at_odds(one, other)
    if odds:
        message = (
            f"the sound of {other.recording.recording_id} (line {other.line}) under {' and '.join(odds)}"
        )
        yield code, one, message


def _conflicts(copies: list[Heard]) -> Iterator[tuple[str, Heard, str]]:
    """Every line of a sound whose lines contradict each other, the first too."""
    for column in sorted({column for h in copies for column in h.labels}):
        words = sorted({h.labels[column] for h in copies if column in h.labels})
        if len(words) < 2:
            continue
        for one in copies:
            other = next(h for h in copies if h is not one)
            message = f"the sound of line {other.line} too, under {column} {' and '.join(words)}"
            yield "label_conflict", one, message


def correlation(one: Float32, other: Float32) -> float:
    """Highest normalised cross-correlation over all shifts."""
    a, b = one.astype(np.float64), other.astype(np.float64)
    course = np.fft.irfft(np.fft.rfft(a, FFT_SIZE) * np.conj(np.fft.rfft(b, FFT_SIZE)), FFT_SIZE)
    norm = float(np.sqrt(np.sum(a**2) * np.sum(b**2)))
    return float(np.abs(course).max()) / norm if norm else 0.0
