"""The front end inside the graph, against the library that defines it."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import torch

from training.frontend import HOP, N_FFT, LocalLevel, LogMel
from training.networks import GateNetwork


def test_log_mel_equals_librosa(bout: np.ndarray) -> None:
    ours = LogMel()(torch.from_numpy(bout)[None])[0].numpy()
    side = (N_FFT - HOP) // 2
    power = (
        np.abs(librosa.stft(np.pad(bout, side), n_fft=N_FFT, hop_length=HOP, window="hann", center=False))
        ** 2
    )
    filters = librosa.filters.mel(sr=16_000, n_fft=N_FFT, n_mels=64, fmin=60, fmax=7_600, norm=None)
    scale = (2 / librosa.filters.get_window("hann", N_FFT).sum()) ** 2
    theirs = 10 * np.log10(filters @ power * scale + 1e-14)
    audible = theirs > -110
    np.testing.assert_allclose(ours[audible], theirs[audible], atol=0.02)


def test_training_by_fft_hears_what_the_graph_hears(bout: np.ndarray) -> None:
    mel = LogMel()
    wave = torch.from_numpy(bout[:48_000])[None]
    torch.testing.assert_close(mel.by_fft(wave), mel(wave), atol=0.01, rtol=0)


def test_a_full_scale_sine_is_about_0_db() -> None:
    sine = np.sin(2 * np.pi * 1_000 * np.arange(16_000) / 16_000).astype(np.float32)
    level = LogMel()(torch.from_numpy(sine)[None])[0, :, 50].max()
    assert float(level) == pytest.approx(0.0, abs=2.0)


def test_digital_silence_is_exactly_zero() -> None:
    features = LocalLevel()(LogMel()(torch.zeros(1, 16_000)))
    assert float(features.abs().max()) == 0.0


@pytest.mark.parametrize("gain_db", [-30.0, -10.0, 6.0])
def test_level_is_removed(bout: np.ndarray, gain_db: float) -> None:
    mel, level = LogMel(), LocalLevel()
    wave = torch.from_numpy(bout)[None]
    expected = level(mel(wave))
    # Where the local reference stands above its floor, a gain changes nothing at all.
    loud = mel(wave).mean(dim=1).amax() + gain_db > level.floor_db
    assert bool(loud)
    difference = (level(mel(wave * 10 ** (gain_db / 20))) - expected).abs()
    assert float(difference.median()) < 1e-3


def test_context_bounds_what_a_frame_can_see() -> None:
    torch.manual_seed(0)
    network = GateNetwork(width=8, width_out=16, n_teacher_classes=2, embedding_size=2).eval()
    wave = torch.randn(1, 16_000 * 6) * 0.01
    changed = wave.clone()
    middle = 16_000 * 3
    changed[:, middle:] = torch.randn(1, middle)  # much louder, so that the local level reacts
    with torch.inference_mode():
        difference = (network(wave) - network(changed)).abs()[0]
    first = int(torch.nonzero(difference)[0])
    reach_s = 3.0 - first * 0.04
    assert 0.5 < reach_s <= network.context_s() + 0.04
