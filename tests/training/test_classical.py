"""The classical voter hears what librosa hears."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training import synth
from training.classical import N_FEATURES, ClassicalFeatures, by_librosa
from training.export import export_voter, run_onnx


@pytest.fixture(scope="module")
def windows() -> np.ndarray:
    """A cough, babble and noise, a second each; (3, 16000) float32."""
    random = np.random.default_rng(3)
    sounds = [synth.cough_bout(random), synth.babble(random), synth.noise(random)]
    return np.stack([sound[8_000:24_000] for sound in sounds]).astype(np.float32)


def test_parity_with_librosa_in_torch_and_in_the_graph(windows: np.ndarray) -> None:
    module = ClassicalFeatures().eval()
    in_torch = module(torch.from_numpy(windows)).numpy()
    in_graph = run_onnx(export_voter(module, window=16_000), windows)
    assert in_torch.shape == (3, N_FEATURES)
    for row, exported, window in zip(in_torch, in_graph, windows, strict=True):
        expected = by_librosa(window)
        np.testing.assert_allclose(row, expected, rtol=2e-3, atol=2e-3)
        np.testing.assert_allclose(exported, expected, rtol=2e-3, atol=2e-3)


def test_loudness_says_nothing(windows: np.ndarray) -> None:
    module = ClassicalFeatures().eval()
    loud = module(torch.from_numpy(windows)).numpy()
    quiet = module(torch.from_numpy(0.05 * windows)).numpy()
    np.testing.assert_allclose(loud, quiet, rtol=1e-2, atol=1e-2)


def test_silence_is_finite() -> None:
    assert torch.isfinite(ClassicalFeatures()(torch.zeros(1, 16_000))).all()
