"""What is exported equals what was trained; what does not is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from cough.audio import decode
from cough.bundle import Bundle
from cough.encoder import Encoder
from cough.gate import CoughGate
from tests.conftest import EXAMPLES
from training.export import (
    ParityError,
    check_parity,
    export_encoder,
    export_gate,
    export_head,
    gate_module,
    run_onnx,
)
from training.networks import EncoderNetwork, GateNetwork

GOLDEN = Path(__file__).with_name("golden.json")


@pytest.fixture(scope="module")
def network() -> GateNetwork:
    torch.manual_seed(0)
    return GateNetwork(width=8, width_out=16, n_teacher_classes=2, embedding_size=2).eval()


def test_gate_parity(network: GateNetwork, bout: np.ndarray) -> None:
    module = gate_module(network, slope=2.0, shift=-0.5)
    model = export_gate(network, slope=2.0, shift=-0.5)
    assert check_parity(module, model, [bout[:64_000], bout[:640]]) < 1e-5


def test_another_calibration_is_caught(network: GateNetwork, bout: np.ndarray) -> None:
    model = export_gate(network, slope=2.0, shift=-0.5)
    with pytest.raises(ParityError):
        check_parity(gate_module(network, slope=2.0, shift=-0.4), model, [bout[:64_000]])


def test_silent_frames_are_exactly_zero(network: GateNetwork) -> None:
    model = export_gate(network, slope=1.0, shift=5.0)
    hiss = np.random.default_rng(0).normal(0, 0.1, 64_000).astype(np.float32)
    padded = np.concatenate([hiss, np.zeros(32_000, np.float32)])
    probabilities = run_onnx(model, padded[None])[0]
    assert (probabilities[:100] > 0.5).all()
    assert (probabilities[100:] == 0).all()


def test_encoder_parity(bout: np.ndarray) -> None:
    torch.manual_seed(0)
    encoder = EncoderNetwork(width=8, embedding_size=16, n_teacher_classes=2, teacher_size=2).eval()
    model = export_encoder(encoder, window=16_000)
    assert check_parity(encoder, model, [bout[:16_000], bout[8_000:24_000]]) < 1e-5


def test_head_is_a_gemm_and_a_softmax() -> None:
    random = np.random.default_rng(0)
    weight, bias = random.standard_normal(32), 0.3
    rows = random.standard_normal((1_000, 32)).astype(np.float32)
    expected = 1 / (1 + np.exp(-(rows @ weight + bias)))
    np.testing.assert_allclose(
        run_onnx(export_head(np.stack([0 * weight, weight]), np.array([0.0, bias])), rows)[:, 1],
        expected,
        atol=1e-6,
    )


def test_golden_vectors(bundle: Bundle) -> None:
    """The shipped models give on this machine what they gave where they were trained."""
    golden = json.loads(GOLDEN.read_text())
    assert golden["bundle_id"] == bundle.spec.bundle_id, "remake with python -m training.golden"
    gate, encoder = CoughGate(bundle), Encoder(bundle)
    for name, expected in golden["examples"].items():
        samples = decode(EXAMPLES / name).samples
        found = gate.detect(samples)
        np.testing.assert_allclose(found.frame_probabilities, expected["frame_probabilities"], atol=1e-3)
        assert found.cough_score == pytest.approx(expected["cough_score"], abs=1e-3)
        embeddings = encoder.embed(samples, found.events)
        first = np.reshape(expected["embeddings"], (-1, 8))
        # In integers: another processor's last digit may round an activation the other way.
        np.testing.assert_allclose(embeddings[:, :8], first, atol=5e-3)
