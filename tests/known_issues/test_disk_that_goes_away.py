"""An I/O error in the middle of a recording left ``decode`` as a plain OSError."""

from __future__ import annotations

import errno
import io
import os

import numpy as np
import pytest
import soundfile

from cough import errors
from cough.audio import decode


class Unplugged(io.BytesIO):
    """A file whose disk is gone after 20 kB."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() > 20_000:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().read(size)


def test_is_an_error_with_a_code(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = io.BytesIO()
    soundfile.write(whole, np.random.default_rng(0).normal(0, 0.1, 160_000), 16_000, format="FLAC")
    handle = Unplugged(whole.getvalue())
    monkeypatch.setattr("cough.audio._open", lambda source, limits: (handle, len(whole.getvalue())))
    with pytest.raises(errors.FileUnreadable, match="any further"):
        decode("unplugged.flac")
