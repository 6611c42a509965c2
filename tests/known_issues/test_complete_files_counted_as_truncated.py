"""Complete recordings were refused because their writers count sloppily, start late or leave gaps."""

from __future__ import annotations

import io
import struct

import av
import numpy as np
import pytest

from cough import errors
from cough.audio import decode
from tests.cough.test_audio import ENCODED, wav
from training.codecs import encode

SAMPLES = (0.3 * np.sin(np.arange(3 * 16_000) / 10)).astype(np.float32)


@pytest.mark.parametrize("surplus", [1, 2, 8, 36, 44, 512, 4_096])
def test_wav_that_counts_its_header_as_sound(surplus: int) -> None:
    data = bytearray(wav(SAMPLES))
    at = data.index(b"data") + 4
    data[at : at + 4] = struct.pack("<I", struct.unpack("<I", data[at : at + 4])[0] + surplus)
    assert len(decode(bytes(data)).samples) == len(SAMPLES)


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0x7FFFFFDB, 0x7FFFFFFF, 0x80000000, 0xFFFFFFDB, 0xFFFFFFFF])
def test_wav_with_a_placeholder_for_its_size(size: int) -> None:
    data = bytearray(wav(SAMPLES))
    at = data.index(b"data") + 4
    data[at : at + 4] = struct.pack("<I", size)
    assert len(decode(bytes(data)).samples) == len(SAMPLES)


@pytest.mark.parametrize("name", ["m4a_aac", "3gp_amr", "webm_opus"])
@pytest.mark.parametrize(("first_packet", "gap_s"), [(0, 3.0), (40, 1.0), (40, 0.3)])
def test_time_stamps_that_start_late_or_jump(name: str, first_packet: int, gap_s: float) -> None:
    """An interruption by a call, a paused recorder."""
    codec = ENCODED[name]
    source, target = io.BytesIO(encode(SAMPLES, codec)), io.BytesIO()
    with av.open(source) as read, av.open(target, "w", format=codec.container) as write:
        stream = read.streams.audio[0]
        copy = write.add_stream_from_template(stream)
        for number, packet in enumerate(read.demux(stream)):
            if packet.dts is None:
                continue
            if number >= first_packet:
                packet.pts += int(gap_s / packet.time_base)
                packet.dts += int(gap_s / packet.time_base)
            packet.stream = copy
            write.mux(packet)
    assert decode(target.getvalue()).duration_s == pytest.approx(3.0, abs=0.15)


@pytest.mark.parametrize("rest", [b"TAG" + bytes(125), b"\r\n--boundary--\r\n", b"\0\0\x10\0free"])
def test_m4a_with_something_behind_it(rest: bytes) -> None:
    data = encode(SAMPLES, ENCODED["m4a_aac"])
    assert decode(data + rest).duration_s == pytest.approx(3.0, abs=0.15)


def test_a_killed_recorder_is_truncated_not_corrupt() -> None:
    data = encode(SAMPLES, ENCODED["m4a_aac"])
    with pytest.raises(errors.Truncated):
        decode(data[: data.index(b"moov") - 4])
