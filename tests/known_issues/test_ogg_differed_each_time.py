"""FFmpeg gives every Ogg stream a random serial number, so remade examples never compared equal."""

from __future__ import annotations

import numpy as np

from training.codecs import Codec, encode


def test_encoding_twice_gives_the_same_bytes() -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
    for codec in (
        Codec("ogg", "libopus"),
        Codec("webm", "libopus"),
        Codec("ipod", "aac", 44_100, None, "fltp"),
    ):
        assert encode(samples, codec) == encode(samples, codec)
