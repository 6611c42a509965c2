"""From torch to ONNX, refused unless both give the same numbers on real recordings."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn

from cough.errors import CoughError
from training.audible import audible
from training.cough_layer import GateInContext
from training.networks import EncoderNetwork, GateEnsemble, GateNetwork
from training.scoring import HOP

PARITY_PROBABILITY = 1e-4
PARITY_HEAD = 1e-5
_REMEDY = " Networks that were hardly trained amplify rounding: train on more clips, or for more epochs."
OPSET = 18


class ParityError(CoughError):
    """The exported graph differs from what was trained."""

    code = "parity"


class _GateGraph(nn.Module):
    """Waveform to probabilities: calibration folded in, frames that nobody would hear exactly 0."""

    def __init__(
        self, network: GateNetwork | GateEnsemble | GateInContext, *, slope: float, shift: float
    ) -> None:
        super().__init__()
        self.network = network
        self.slope, self.shift = slope, shift

    def forward(self, wave: Tensor) -> Tensor:
        power = nn.functional.avg_pool1d((wave * wave)[:, None], HOP, HOP)[:, 0]
        probability = torch.sigmoid(self.slope * self.network(wave) + self.shift)
        return probability * audible(power).float()


def gate_module(
    network: GateNetwork | GateEnsemble | GateInContext, *, slope: float, shift: float
) -> nn.Module:
    """What ``export_gate`` exports, as a torch module: (batch, samples) -> (batch, frames)."""
    return _GateGraph(network, slope=slope, shift=shift).eval()


def export_gate(network: GateNetwork | GateEnsemble | GateInContext, *, slope: float, shift: float) -> bytes:
    """ONNX of (batch, n_samples) -> (batch, n_samples // 640) calibrated probabilities."""
    return _export(gate_module(network, slope=slope, shift=shift), "wave", "probability", samples="samples")


def export_encoder(network: EncoderNetwork, *, window: int) -> bytes:
    """ONNX of (batch, window) -> (batch, embedding_size)."""
    return _export(network.eval(), "wave", "embedding", samples=window)


def export_head(weight: np.ndarray, bias: np.ndarray) -> bytes:
    """ONNX of (batch, n) -> (batch, n_classes): one Gemm and a Softmax, written by hand.

    Converters of whole scikit-learn pipelines have been seen to change calibrated probabilities;
    scaling and calibration are therefore folded into ``weight`` (n_classes, n) and ``bias``
    (n_classes,) beforehand.
    """
    n_classes, n = weight.shape
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["embedding", "weight", "bias"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probability"], axis=1),
        ],
        "head",
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", n])],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["batch", n_classes])],
        [
            helper.make_tensor("weight", TensorProto.FLOAT, [n, n_classes], weight.T.ravel().tolist()),
            helper.make_tensor("bias", TensorProto.FLOAT, [n_classes], np.asarray(bias).tolist()),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def export_voter(module: nn.Module, *, window: int) -> bytes:
    """ONNX of (batch, window) -> (batch, n_classes)."""
    return _export(module.eval(), "wave", "probability", samples=window)


def _export(module: nn.Module, input_name: str, output_name: str, *, samples: int | str) -> bytes:
    example = torch.randn(2, samples if isinstance(samples, int) else 50 * HOP) * 0.1
    dynamic: dict[int, str] = {0: "batch"}
    if isinstance(samples, str):
        dynamic[1] = samples
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The tracing exporter is deprecated but gives the smaller and faster graph here.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (example,),
            buffer,
            input_names=[input_name],
            output_names=[output_name],
            dynamic_axes={
                input_name: dynamic,
                output_name: {0: "batch"} | ({1: "frames"} if len(dynamic) > 1 else {}),
            },
            opset_version=OPSET,
            dynamo=False,
        )
    onnx.checker.check_model(onnx.load_from_string(buffer.getvalue()))
    return buffer.getvalue()


def run_onnx(model: bytes, inputs: np.ndarray) -> np.ndarray:
    """The first output of a one-input graph, on one thread."""
    return runner(model)(inputs)


def runner(model: bytes) -> Callable[[np.ndarray], np.ndarray]:
    """``run_onnx`` of one graph, for many inputs."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model, sess_options=options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda inputs: np.asarray(session.run(None, {name: inputs})[0])


def check_parity(
    module: nn.Module, model: bytes, clips: Sequence[np.ndarray], *, tolerance: float = PARITY_PROBABILITY
) -> float:
    """Largest absolute difference between torch and ONNX Runtime over real clips.

    Parameters
    ----------
    clips : each (n_samples,) float32, a multiple of 640 samples long

    Raises
    ------
    ParityError : above ``tolerance``
    """
    worst = 0.0
    with torch.inference_mode():
        for clip in clips:
            expected = module(torch.from_numpy(clip)[None]).numpy()
            worst = max(worst, float(np.abs(expected - run_onnx(model, clip[None])).max()))
    if not worst <= tolerance:
        raise ParityError(
            f"torch and ONNX Runtime differ by {worst:.2g}, more than {tolerance:.0e}.{_REMEDY}"
        )
    return worst


def check_head_parity(expected: np.ndarray, model: bytes, inputs: np.ndarray) -> None:
    """Whether a head in float32 gives what it gave in float64.

    Parameters
    ----------
    expected : (n, n_classes) probabilities for ``inputs`` (n, n_features)

    Raises
    ------
    ParityError : above ``PARITY_HEAD``
    """
    worst = float(np.abs(run_onnx(model, inputs.astype(np.float32)) - expected).max())
    if not worst <= PARITY_HEAD:
        raise ParityError(f"The head in float32 is {worst:.2g} off, more than {PARITY_HEAD:.0e}.{_REMEDY}")
