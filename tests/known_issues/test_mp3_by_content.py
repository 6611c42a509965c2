"""MP3s that do not begin with a frame were no audio; UTF-16 text, which begins like one, was corrupt."""

from __future__ import annotations

import numpy as np
import pytest

from cough import errors
from cough.audio import decode
from tests.cough.test_audio import ENCODED
from training.codecs import encode


@pytest.fixture(scope="module")
def mp3() -> bytes:
    return encode(np.random.default_rng(0).normal(0, 0.1, 48_000).astype(np.float32), ENCODED["mp3"])


def test_zeros_before_the_first_frame(mp3: bytes) -> None:
    assert decode(bytes(500) + mp3).duration_s == pytest.approx(3.0, abs=0.2)


def test_a_rip_that_starts_inside_a_frame(mp3: bytes) -> None:
    assert decode(mp3[1_234:]).duration_s > 2.5


def test_text_that_begins_with_a_byte_order_mark() -> None:
    with pytest.raises(errors.NotAudio):
        decode("This is no recording. ".encode("utf-16") * 20)
