"""Graphs in integers: close to the exact one, smaller, the same on every call, and readable again."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training import synth
from training.export import export_encoder, run_onnx
from training.networks import EncoderNetwork, unfold_encoder
from training.quantisation import TOLERANCE, distance, quantised


@pytest.fixture(scope="module")
def windows() -> list[np.ndarray]:
    random = np.random.default_rng(5)
    sounds = [np.concatenate([synth.cough_bout(random), synth.noise(random)]) for _ in range(4)]
    return [sound[i : i + 16_000].astype(np.float32) for sound in sounds for i in (0, 8_000, 16_000)]


@pytest.fixture(scope="module")
def exact() -> bytes:
    torch.manual_seed(1)
    network = EncoderNetwork(width=16, embedding_size=24, n_teacher_classes=1, teacher_size=1)
    return export_encoder(network, window=16_000)


def test_close_to_the_exact_graph_and_smaller(exact: bytes, windows: list[np.ndarray]) -> None:
    integers = quantised(exact, windows)
    assert len(integers) < 0.8 * len(exact)
    assert 0 < distance(integers, exact, windows) < TOLERANCE
    assert integers == quantised(exact, windows)
    assert np.linalg.norm(run_onnx(integers, windows[0][None])) == pytest.approx(1, abs=1e-5)


def test_an_encoder_in_integers_can_be_trained_further(exact: bytes, windows: list[np.ndarray]) -> None:
    integers = quantised(exact, windows)
    network = unfold_encoder(integers)
    with torch.inference_mode():
        for window in windows:
            again = network(torch.from_numpy(window)[None]).numpy()
            # Weights are the same; activations are exact here and rounded there.
            assert np.linalg.norm(again - run_onnx(integers, window[None])) < TOLERANCE
