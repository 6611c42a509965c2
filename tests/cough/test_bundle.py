"""A bundle is used only when every byte and every key is as stated."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from cough import errors
from cough.bundle import DEFAULT_BUNDLE, load_bundle
from cough.screener import Screener

Edit = Callable[[dict[str, Any]], None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped bundle to break."""
    return Path(shutil.copytree(DEFAULT_BUNDLE, tmp_path / "bundle"))


def edit(folder: Path, change: Edit) -> None:
    path = folder / "bundle.json"
    table = json.loads(path.read_text())
    change(table)
    path.write_text(json.dumps(table))


def replace_file(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    edit(folder, lambda table: table["files"].update({name: hashlib.sha256(content).hexdigest()}))


def test_shipped_bundle_is_whole_small_and_says_where_it_came_from() -> None:
    bundle = load_bundle()
    size = sum(path.stat().st_size for path in DEFAULT_BUNDLE.iterdir())
    assert size < 8_000_000
    assert {p.suffix for p in DEFAULT_BUNDLE.iterdir()} == {".onnx", ".json", ".md"}
    record = bundle.spec.training
    assert len(record.data_hash) == 64
    assert record.licences
    assert record.config["seed"] == record.seed
    assert not record.code_version.endswith("-dirty")
    assert bundle.spec.gate.threshold_chosen
    assert bundle.spec.metrics["gate"]


def test_environment_selects_a_bundle(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edit(folder, lambda table: table.update(bundle_id="mine"))
    monkeypatch.setenv("COUGH_BUNDLE", str(folder))
    assert load_bundle().spec.bundle_id == "mine"
    assert load_bundle(DEFAULT_BUNDLE).spec.bundle_id != "mine"


@pytest.mark.parametrize("name", ["bundle.json", "gate.onnx"])
def test_missing_file(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(errors.BundleMissing, match=name):
        load_bundle(folder)


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(errors.BundleMissing):
        load_bundle(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["gate.onnx", "encoder.onnx", "covid19.onnx"])
def test_one_flipped_bit_is_noticed(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(errors.BundleTampered, match=name):
        load_bundle(folder)


def test_an_unlisted_model_is_noticed(folder: Path) -> None:
    (folder / "extra.onnx").write_bytes(b"")
    with pytest.raises(errors.BundleTampered):
        load_bundle(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.update(format=2),
        lambda table: table.pop("gate"),
        lambda table: table["gate"].pop("threshold"),
        lambda table: table["gate"].update(threshold=1.5),
        lambda table: table["gate"].update(thresold=0.5),
        lambda table: table.update(sample_rate_hz=8_000),
        lambda table: table["gate"].update(file="other.onnx"),
        lambda table: table["files"].update({"../gate.onnx": "0" * 64}),
        lambda table: table["conditions"][0].update(encoder_sha256="0" * 64),
    ],
    ids=[
        "format",
        "no gate",
        "no threshold",
        "threshold",
        "typo",
        "rate",
        "unlisted",
        "path",
        "other encoder",
    ],
)
def test_incompatible_descriptions(folder: Path, change: Edit) -> None:
    edit(folder, change)
    with pytest.raises(errors.BundleIncompatible):
        load_bundle(folder)


@pytest.mark.parametrize("content", [b"not json", b"[]", b"\xff\xfe", b"null"])
def test_description_that_is_no_description(folder: Path, content: bytes) -> None:
    (folder / "bundle.json").write_bytes(content)
    with pytest.raises(errors.BundleIncompatible):
        load_bundle(folder)


@pytest.mark.parametrize("name", ["gate.onnx", "encoder.onnx", "covid19.onnx"])
def test_a_file_that_is_no_model_is_refused(folder: Path, name: str) -> None:
    replace_file(folder, name, b"not a model")
    if name == "encoder.onnx":
        digest = hashlib.sha256(b"not a model").hexdigest()
        edit(folder, lambda table: table["conditions"][0].update(encoder_sha256=digest))
    with pytest.raises(errors.BundleIncompatible, match=name):
        Screener(folder)


@pytest.mark.parametrize("change", [{"hop_s": 0.02}], ids=["hop"])
def test_wrong_gate_shape_is_refused(folder: Path, change: dict[str, float]) -> None:
    edit(folder, lambda table: table["gate"].update(change))
    with pytest.raises(errors.BundleIncompatible, match=r"gate\.onnx"):
        Screener(folder)


@pytest.mark.parametrize("change", [{"embedding_size": 17}, {"window_s": 0.001}], ids=["size", "window"])
def test_wrong_encoder_shape_is_refused(folder: Path, change: dict[str, float]) -> None:
    edit(folder, lambda table: table["encoder"].update(change))
    with pytest.raises(errors.BundleIncompatible, match=r"encoder\.onnx"):
        Screener(folder)


def test_own_head_drops_in_without_code(folder: Path, bout: np.ndarray) -> None:
    """A user's ONNX, declared in ``bundle.json``, is one more condition in the answer."""
    size = load_bundle(folder).spec.encoder.embedding_size
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["x", "w", "b"], ["z"]),
            helper.make_node("Sigmoid", ["z"], ["p"]),
        ],
        "always",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", size])],
        [helper.make_tensor_value_info("p", TensorProto.FLOAT, ["batch", 1])],
        [
            helper.make_tensor("w", TensorProto.FLOAT, [size, 1], [0.0] * size),
            helper.make_tensor("b", TensorProto.FLOAT, [1], [3.0]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    replace_file(folder, "own.onnx", model.SerializeToString())

    def declare(table: dict[str, Any]) -> None:
        own = dict(table["conditions"][0], name="own", file="own.onnx", title="Own", answers=True)
        own.update(bands=["telephone", "wide"], conformal_quantiles=[0.2, 0.2], classes=["no", "yes"])
        table["conditions"].append(own)
        table["metrics"]["own"] = {"none": "made for a test"}

    edit(folder, declare)
    from cough.audio import Waveform

    result = Screener(folder).screen(Waveform.from_samples(bout, rate_hz=16_000))
    assert result.outcome == "screened"
    assert result.conditions[-1].answer == "yes"
    assert result.conditions[-1].probability == pytest.approx(1 / (1 + np.exp(-3)), abs=1e-6)
