"""Encode with PyAV what phones and browsers send; used to augment, to synthesise and to test."""

from __future__ import annotations

import io
from dataclasses import dataclass

import av
import numpy as np

from cough.audio import SAMPLE_RATE_HZ, decode


@dataclass(frozen=True)
class Codec:
    """A container format and encoder of FFmpeg, with the rate it is fed at."""

    container: str
    encoder: str
    rate_hz: int = 48_000
    bit_rate: int | None = None
    sample_format: str = "s16"


PHONE_CODECS = (
    Codec("amr", "libopencore_amrnb", 8_000, 4_750),
    Codec("amr", "libopencore_amrnb", 8_000, 7_400),
    Codec("amr", "libopencore_amrnb", 8_000, 12_200),
    Codec("ogg", "libopus", 48_000, 6_000),
    Codec("ogg", "libopus", 48_000, 8_000),
    Codec("ogg", "libopus", 48_000, 12_000),
    Codec("ipod", "aac", 44_100, 32_000, "fltp"),
    Codec("mp3", "libmp3lame", 22_050, 24_000, "s16p"),
    Codec("wav", "pcm_mulaw", 8_000),
)


def encode(samples: np.ndarray, codec: Codec, *, rate_hz: int = SAMPLE_RATE_HZ, channels: int = 1) -> bytes:
    """Encode mono float samples of shape (n,) in [-1, 1]; every channel gets the same signal."""
    import soxr

    resampled = soxr.resample(samples.astype(np.float32), rate_hz, codec.rate_hz, quality="HQ")
    pcm = (np.clip(resampled, -1, 1) * 32767).astype(np.int16)
    interleaved = np.repeat(pcm[:, None], channels, axis=1).reshape(1, -1)
    buffer = io.BytesIO()
    # Bit-exact: otherwise an Ogg stream gets a random serial number.
    options = {"fflags": "+bitexact"}
    with av.open(buffer, mode="w", format=codec.container, options=options) as container:
        layout = {1: "mono", 2: "stereo"}.get(channels) or f"{channels}c"
        stream = container.add_stream(codec.encoder, rate=codec.rate_hz)
        stream.codec_context.layout = layout
        stream.codec_context.format = codec.sample_format
        if codec.bit_rate:
            stream.codec_context.bit_rate = codec.bit_rate
        frame = av.AudioFrame.from_ndarray(interleaved, format="s16", layout=layout)
        frame.sample_rate = codec.rate_hz
        frame.pts = 0
        size = stream.codec_context.frame_size or 1024
        resampler = av.AudioResampler(
            format=codec.sample_format, layout=layout, rate=codec.rate_hz, frame_size=size
        )
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def round_trip(samples: np.ndarray, codec: Codec) -> np.ndarray:
    """Encode and decode; same length as went in, (n,) float32 at 16 kHz."""
    decoded = decode(encode(samples, codec)).samples
    out = np.zeros(len(samples), np.float32)
    n = min(len(out), len(decoded))
    out[:n] = decoded[:n]
    return out
