"""An m4a in 7.1 ended the process: PyAV counts a ninth plane, and its memory was read."""

from __future__ import annotations

import io

import av
import numpy as np

from cough.audio import decode

RATE_HZ, CHANNELS = 48_000, 8


def _surround(samples: np.ndarray) -> bytes:
    """(n, 8) float32 as AAC in 7.1."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=RATE_HZ, layout="7.1")
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="flt", layout="7.1")
        frame.sample_rate = RATE_HZ
        resampler = av.AudioResampler("fltp", "7.1", RATE_HZ, stream.codec_context.frame_size)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return file.getvalue()


def test_eight_planar_channels_are_averaged() -> None:
    sine = 0.3 * np.sin(2 * np.pi * 440 * np.arange(2 * RATE_HZ) / RATE_HZ)
    waveform = decode(_surround(np.repeat(sine[:, None], CHANNELS, axis=1).astype(np.float32)))
    assert waveform.source.channels == CHANNELS
    middle = waveform.samples[8_000:24_000]
    assert 0.15 < np.sqrt(np.mean(np.square(middle))) < 0.25  # the low-frequency channel is cut by AAC
