"""Phones send comfort noise between words (AMR DTX); FFmpeg's own AMR decoder cannot read it."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest

from cough.audio import decode


@pytest.mark.parametrize("container", ["amr", "3gp"])
def test_pauses_sent_as_comfort_noise(container: str) -> None:
    random = np.random.default_rng(0)
    time = np.arange(6 * 8_000) / 8_000
    talking = (time < 1) | (time > 4.5)
    pcm = (3_000 * random.standard_normal(len(time)) * np.where(talking, 1, 1e-3)).astype(np.int16)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as write:
        stream = write.add_stream("libopencore_amrnb", rate=8_000, options={"dtx": "1"})
        stream.codec_context.layout = "mono"
        stream.codec_context.bit_rate = 12_200
        for start in range(0, len(pcm), 160):
            frame = av.AudioFrame.from_ndarray(pcm[None, start : start + 160], format="s16", layout="mono")
            frame.sample_rate, frame.pts = 8_000, start
            write.mux(stream.encode(frame))
        write.mux(stream.encode(None))
    waveform = decode(buffer.getvalue())
    assert waveform.duration_s == pytest.approx(6.0, abs=0.1)
    assert np.abs(waveform.samples[8_000:14_000]).mean() > 20 * np.abs(waveform.samples[32_000:60_000]).mean()
