"""A 500-byte m4a whose index claims 80 million samples made FFmpeg build it: 3 GB, 18 s."""

from __future__ import annotations

import struct
import time
from contextlib import suppress

import numpy as np
import pytest

from cough import errors
from cough.audio import decode
from tests.cough.test_audio import ENCODED, wav
from training.codecs import encode


def test_an_index_beyond_the_file_is_refused_before_it_is_built() -> None:
    data = bytearray(encode(np.zeros(16_000, np.float32), ENCODED["m4a_aac"]))
    at = data.index(b"stsz") + 8
    data[at : at + 8] = struct.pack(">II", 1, 80_000_000)
    began = time.process_time()
    with pytest.raises(errors.Corrupt):
        decode(bytes(data))
    assert time.process_time() - began < 2


@pytest.mark.parametrize("form", ["64-bit length", "to the end of the file"])
def test_an_index_in_a_box_of_another_form_is_looked_at_too(form: str) -> None:
    """Nothing inside such a ``moov`` was: 20 million samples cost 240 MB."""
    data = bytearray(encode(np.zeros(16_000, np.float32), ENCODED["m4a_aac"]))
    at = data.index(b"stsz") + 8
    data[at : at + 8] = struct.pack(">II", 1, 80_000_000)
    moov = data.index(b"moov") - 4
    length = struct.unpack(">I", data[moov : moov + 4])[0]
    if form == "64-bit length":
        data[moov : moov + 8] = struct.pack(">I4sQ", 1, b"moov", length + 8)
    else:
        # The last box then.
        data[moov : moov + length] = b""
        data += (
            struct.pack(">I4s", 0, b"moov")
            + encode(np.zeros(16_000, np.float32), ENCODED["m4a_aac"])[moov + 8 : moov + length]
        )
        at = data.rindex(b"stsz") + 8
        data[at : at + 8] = struct.pack(">II", 1, 80_000_000)
    with pytest.raises(errors.Corrupt, match="index claims"):
        decode(bytes(data))


def test_a_million_empty_boxes_are_not_walked() -> None:
    samples = np.full(16_000, 0.1, np.float32)
    m4a = encode(samples, ENCODED["m4a_aac"]) + 1_000_000 * b"\0\0\0\x08free"
    plain = wav(samples)
    at = plain.index(b"data")
    riff = plain[:at] + 1_000_000 * b"junk\0\0\0\0" + plain[at:]
    began = time.process_time()
    for data in (m4a, riff):
        with suppress(errors.InputError):
            decode(data)
    assert time.process_time() - began < 10
