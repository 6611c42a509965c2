"""Gates that gave logits, NaN, or took one length only passed the check: scores of 5, NaN, tracebacks.

``cough models`` called such bundles verified: it compared their hashes and ran nothing.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from cough import errors
from cough.bundle import DEFAULT_BUNDLE, load_bundle
from cough.cli import app
from cough.gate import CoughGate
from tests.cough.test_bundle import replace_file

HOP = 640


def gate_of(value: float, *, n_samples: int | str = "n") -> bytes:
    """A frame a hop, of the right shape, that is ``value`` wherever there is sound and 0.5 in silence."""
    weight = np.zeros((1, 1, HOP), np.float32)
    nodes = [
        helper.make_node("Unsqueeze", ["wave", "axis"], ["channel"]),
        helper.make_node("Conv", ["channel", "weight"], ["frames"], strides=[HOP]),
        helper.make_node("MaxPool", ["loud"], ["peak"], kernel_shape=[HOP], strides=[HOP]),
        helper.make_node("Abs", ["channel"], ["loud"]),
        helper.make_node("Greater", ["peak", "nothing"], ["heard"]),
        helper.make_node("Where", ["heard", "value", "half"], ["said"]),
        helper.make_node("Add", ["frames", "said"], ["sum"]),
        helper.make_node("Squeeze", ["sum", "axis"], ["probability"]),
    ]
    nodes[2], nodes[3] = nodes[3], nodes[2]
    graph = helper.make_graph(
        nodes,
        "gate",
        [helper.make_tensor_value_info("wave", TensorProto.FLOAT, ["b", n_samples])],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["b", "frames"])],
        [
            numpy_helper.from_array(weight, "weight"),
            numpy_helper.from_array(np.array([1], np.int64), "axis"),
            numpy_helper.from_array(np.array(0, np.float32), "nothing"),
            numpy_helper.from_array(np.array(0.5, np.float32), "half"),
            numpy_helper.from_array(np.array(value, np.float32), "value"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DEFAULT_BUNDLE, tmp_path / "bundle"))


def test_a_gate_that_gives_probabilities_is_taken(folder: Path) -> None:
    replace_file(folder, "gate.onnx", gate_of(0.9))
    assert CoughGate(load_bundle(folder)).detect(np.full(3 * HOP, 0.1, np.float32)).cough_score > 0


@pytest.mark.parametrize(
    "gate", [gate_of(5.2), gate_of(-0.1), gate_of(np.nan), gate_of(0.9, n_samples=50 * HOP), b"no model"]
)
def test_one_that_does_not_is_refused_also_by_cough_models(folder: Path, gate: bytes) -> None:
    replace_file(folder, "gate.onnx", gate)
    with pytest.raises(errors.BundleIncompatible, match=r"gate\.onnx"):
        CoughGate(load_bundle(folder))
    result = CliRunner().invoke(app, ["models", "--bundle", str(folder)])
    assert result.exit_code == 2
    assert "bundle_incompatible" in result.stderr
    assert not result.stdout


@pytest.mark.parametrize("change", [("encoder", "window_s", 2.0), ("gate", "hop_s", 0.02)])
def test_what_the_graphs_do_not_do_is_not_verified(folder: Path, change: tuple[str, str, float]) -> None:
    part, key, value = change
    table = json.loads((folder / "bundle.json").read_text())
    table[part][key] = value
    (folder / "bundle.json").write_text(json.dumps(table))
    assert CliRunner().invoke(app, ["models", "--bundle", str(folder)]).exit_code == 2


def test_a_description_of_many_brackets(folder: Path) -> None:
    (folder / "bundle.json").write_text("[" * 200_000)
    with pytest.raises(errors.BundleIncompatible):
        load_bundle(folder)
