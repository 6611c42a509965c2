"""The same sound twice, once upside down, was answered "nothing was recorded": its mean is silence."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from cough.audio import AudioStream, decode
from training import synth

RATE = 48_000


def wav(channels: list[np.ndarray]) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.stack(channels, axis=1), RATE, format="WAV", subtype="FLOAT")
    return file.getvalue()


@pytest.fixture(scope="module")
def one() -> np.ndarray:
    random = np.random.default_rng(4)
    return np.repeat(synth.cough_bout(random, duration_s=4.0), 3).astype(np.float32)


@pytest.mark.parametrize("other", [-1.0, -0.95])
def test_a_channel_upside_down_is_heard(one: np.ndarray, other: float) -> None:
    alone = decode(wav([one, one])).samples
    cancelling = wav([one, (other * one).astype(np.float32)])
    np.testing.assert_allclose(decode(cancelling).samples, alone, atol=1e-6)
    streamed = np.concatenate(list(AudioStream(io.BytesIO(cancelling))))
    np.testing.assert_allclose(streamed, alone, atol=1e-6)


def test_channels_that_do_not_cancel_are_averaged_as_before(one: np.ndarray) -> None:
    silence = np.zeros_like(one)
    half = decode(wav([one, silence])).samples
    np.testing.assert_allclose(half, decode(wav([one / 2, one / 2])).samples, atol=1e-6)
    hiss = np.random.default_rng(0).normal(0, 0.1, (2, len(one))).astype(np.float32)
    mean = decode(wav([hiss.mean(axis=0)] * 2)).samples
    np.testing.assert_allclose(decode(wav(list(hiss))).samples, mean, atol=1e-6)
