"""A raw file object may return less than asked for; the rest of the recording was lost silently."""

from __future__ import annotations

import io

import numpy as np

from cough.audio import decode
from tests.cough.test_audio import ENCODED
from training.codecs import encode


class Dribble(io.RawIOBase):
    """Gives at most 1,000 bytes a call, like a socket."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self._data.read(min(size, 1_000))


def test_everything_is_read() -> None:
    data = encode(np.random.default_rng(0).normal(0, 0.1, 32_000).astype(np.float32), ENCODED["mp3"])
    np.testing.assert_array_equal(decode(Dribble(data)).samples, decode(data).samples)  # type: ignore[arg-type]
