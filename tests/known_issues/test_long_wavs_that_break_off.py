"""A wav of more than 2.1 GB, an RF64 and a w64 that break off were reported as complete."""

from __future__ import annotations

import io
import struct

import av
import numpy as np
import pytest

from cough import errors
from cough.audio import decode
from tests.cough.test_audio import wav

SAMPLES = (0.3 * np.sin(np.arange(10 * 16_000) / 10)).astype(np.float32)


def large(form: str) -> bytes:
    """Written by FFmpeg, which may go back to the beginning."""
    target = io.BytesIO()
    options = {"rf64": "always"} if form == "wav" else {}
    with av.open(target, "w", format=form, options=options) as write:
        stream = write.add_stream("pcm_s16le", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(
            np.round(SAMPLES * 32_767).astype(np.int16)[None], format="s16", layout="mono"
        )
        frame.sample_rate = 16_000
        for packet in (*stream.encode(frame), *stream.encode(None)):
            write.mux(packet)
    return target.getvalue()


@pytest.mark.parametrize(("form", "magic"), [("wav", b"RF64"), ("w64", b"riff")])
def test_large_forms_are_whole_or_truncated(form: str, magic: bytes) -> None:
    data = large(form)
    assert data.startswith(magic)
    assert len(decode(data).samples) == len(SAMPLES)
    with pytest.raises(errors.Truncated):
        decode(data[: len(data) * 3 // 10])


@pytest.mark.parametrize("claim", [2_000_000_000, 2_140_000_000, 2_150_000_000, 3_456_000_000, 4_290_000_000])
def test_a_night_in_stereo_that_breaks_off(claim: int) -> None:
    data = bytearray(wav(SAMPLES))
    at = data.index(b"data") + 4
    data[at : at + 4] = struct.pack("<I", claim)
    with pytest.raises(errors.Truncated):
        decode(bytes(data))
