"""A bundle is used only when every byte and every key is as stated."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from cough import errors
from cough.audio import Waveform
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
    assert size < 16_000_000
    assert {p.suffix for p in DEFAULT_BUNDLE.iterdir()} == {".onnx", ".json", ".md"}
    record = bundle.spec.training
    assert len(record.data_hash) == 64
    assert record.licences
    assert record.config["seed"] == record.seed
    assert not record.code_version.endswith("-dirty")
    assert bundle.spec.gate.threshold_chosen
    assert bundle.spec.metrics["gate"]


def test_the_answer_in_the_readme_has_the_evidence_of_the_shipped_bundle() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    said = re.search(r'"evidence": \{(.*), "\.\.\."', readme)
    assert said
    evidence = load_bundle().spec.conditions[0].evidence.model_dump()
    for name, value in json.loads(f"{{{said[1]}}}").items():
        assert evidence[name] == value


def test_shipped_gate_and_encoder_are_small_enough_for_a_phone() -> None:
    gate, encoder = (DEFAULT_BUNDLE / name for name in ("gate.onnx", "encoder.onnx"))
    assert gate.stat().st_size <= 2_000_000
    assert encoder.stat().st_size <= 6_000_000
    graph = onnx.load(gate).graph
    sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in graph.initializer}
    learnt = {name for node in graph.node if node.op_type == "Conv" for name in node.input[1:]}
    assert 0 < sum(sizes.get(name, 0) for name in learnt) <= 500_000


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


@pytest.mark.parametrize("name", ["gate.onnx", "encoder.onnx", "covid19.embedding.onnx"])
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
        lambda table: table.update(format=1),
        lambda table: table.pop("gate"),
        lambda table: table["gate"].pop("threshold"),
        lambda table: table["gate"].update(threshold=1.5),
        lambda table: table["gate"].update(thresold=0.5),
        lambda table: table.update(sample_rate_hz=8_000),
        lambda table: table["gate"].update(file="other.onnx"),
        lambda table: table["files"].update({"../gate.onnx": "0" * 64}),
        lambda table: table["conditions"][0]["voters"][0].update(encoder_sha256="0" * 64),
        lambda table: table["conditions"][0]["voters"][0].update(encoder_sha256=None),
        lambda table: table["conditions"][0]["voters"][1].update(window_s=None),
        lambda table: table["conditions"][0]["voters"].clear(),
        lambda table: table["conditions"][0]["mediator"].update(shifts=[0.0]),
        lambda table: table["conditions"][0]["voters"][1].update(name="embedding"),
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
        "no encoder",
        "no window",
        "no voter",
        "shifts",
        "two of a name",
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


@pytest.mark.parametrize("name", ["gate.onnx", "encoder.onnx", "covid19.embedding.onnx"])
def test_a_file_that_is_no_model_is_refused(folder: Path, name: str) -> None:
    replace_file(folder, name, b"not a model")
    if name == "encoder.onnx":
        digest = hashlib.sha256(b"not a model").hexdigest()
        edit(folder, lambda table: table["conditions"][0]["voters"][0].update(encoder_sha256=digest))
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


def constant(shape_in: list[object], probabilities: list[float]) -> bytes:
    """A graph that reads its input and always gives the same row."""
    n = len(probabilities)
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["x"], ["m"], keepdims=1),
            helper.make_node("Mul", ["m", "zero"], ["z"]),
            helper.make_node("Add", ["z", "row"], ["p"]),
        ],
        "always",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape_in)],
        [helper.make_tensor_value_info("p", TensorProto.FLOAT, [1, n])],
        [
            helper.make_tensor("zero", TensorProto.FLOAT, [1], [0.0]),
            helper.make_tensor("row", TensorProto.FLOAT, [1, n], probabilities),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def declare(folder: Path, voters: list[dict[str, Any]], **changes: Any) -> None:
    """Add a condition ``own`` with these voters, answering where it may."""

    def change(table: dict[str, Any]) -> None:
        own = json.loads(json.dumps(table["conditions"][0]))
        method = {"method": "made for a test", "calibration": "none"}
        own.update(name="own", title="Own", answers=True, bands=["telephone", "wide"], symptoms=None)
        own.update(classes=["no", "yes"], voters=[method | voter for voter in voters])
        n = len(changes.get("classes", own["classes"]))
        own["mediator"].update(slope=1.0, shifts=[0.0] * n, conformal_quantiles=[0.4] * n)
        own["mediator"]["calibrated_with"] = {}
        own.update(changes)
        table["conditions"].append(own)
        table["metrics"]["own"] = {"none": "made for a test"}

    edit(folder, change)


def own_voters(folder: Path, *rows: list[float]) -> list[dict[str, Any]]:
    """One voter of each kind that hears, in turn; their files put into the folder."""
    spec = load_bundle(folder).spec
    kinds: list[dict[str, Any]] = [
        {"hears": "embeddings", "encoder_sha256": spec.files[spec.encoder.file]},
        {"hears": "coughs", "window_s": 0.5},
        {"hears": "recording"},
    ]
    shapes: list[list[object]] = [["n", spec.encoder.embedding_size], ["n", 8_000], [1, "samples"]]
    voters = []
    for i, row in enumerate(rows):
        replace_file(folder, f"own{i}.onnx", constant(shapes[i % 3], row))
        voters.append({"name": f"voter {i}", "file": f"own{i}.onnx"} | kinds[i % 3])
    return voters


def test_own_voters_drop_in_without_code(folder: Path, bout: np.ndarray) -> None:
    """A user's ONNX, declared in ``bundle.json``, is one more condition in the answer."""
    declare(folder, own_voters(folder, [0.05, 0.95], [0.1, 0.9], [0.2, 0.8]))
    result = Screener(folder).screen(Waveform.from_samples(bout, rate_hz=16_000))
    assert result.outcome == "screened"
    answer = result.conditions[-1]
    assert answer.answer == "yes"
    odds = [0.95 / 0.05, 0.9 / 0.1, 0.8 / 0.2]
    pooled = np.exp(np.mean(np.log(odds)))
    assert answer.probability == pytest.approx(pooled / (1 + pooled), abs=1e-5)


def own_encoder(window: int, size: int) -> bytes:
    """A graph of (n, window) -> (n, size), rows of unit length: a random projection."""
    random = np.random.default_rng(0)
    weights = random.standard_normal((window, size)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["p"]),
            helper.make_node("Add", ["p", "one"], ["q"]),
            helper.make_node("LpNormalization", ["q"], ["e"], axis=1, p=2),
        ],
        "own encoder",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", window])],
        [helper.make_tensor_value_info("e", TensorProto.FLOAT, ["n", size])],
        [
            helper.make_tensor("w", TensorProto.FLOAT, weights.shape, weights.tobytes(), raw=True),
            helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


def test_an_own_encoder_drops_in_without_code(folder: Path, bout: np.ndarray) -> None:
    """Of another window and size; a head made for the old one has to go, one made for it comes along."""
    replace_file(folder, "encoder.onnx", own_encoder(8_000, 6))
    with pytest.raises(errors.BundleIncompatible, match="trained on another encoder"):
        load_bundle(folder)
    digest = hashlib.sha256((folder / "encoder.onnx").read_bytes()).hexdigest()
    replace_file(folder, "own.onnx", constant(["n", 6], [0.2, 0.8]))
    voter = {"name": "own", "file": "own.onnx", "hears": "embeddings", "encoder_sha256": digest}
    declare(folder, [voter])

    def drop_the_old(table: dict[str, Any]) -> None:
        table["encoder"].update(window_s=0.5, embedding_size=6)
        old = table["conditions"].pop(0)
        for gone in old["voters"]:
            (folder / gone["file"]).unlink()
            table["files"].pop(gone["file"])

    edit(folder, drop_the_old)
    screener = Screener(folder)
    result = screener.screen(Waveform.from_samples(bout, rate_hz=16_000))
    assert [condition.answer for condition in result.conditions] == ["yes"]


def test_own_voters_of_three_classes(folder: Path, bout: np.ndarray) -> None:
    classes = ["healthy", "asthma", "pertussis"]
    declare(folder, own_voters(folder, [0.1, 0.8, 0.1]), classes=classes)
    answer = Screener(folder).screen(Waveform.from_samples(bout, rate_hz=16_000)).conditions[-1]
    assert answer.answer == "asthma"
    assert answer.probability == pytest.approx(0.9, abs=1e-5)
    assert answer.probabilities == pytest.approx({"healthy": 0.1, "asthma": 0.8, "pertussis": 0.1}, abs=1e-5)


def test_voters_that_disagree_do_not_answer(folder: Path, bout: np.ndarray) -> None:
    declare(folder, own_voters(folder, [0.01, 0.99], [0.6, 0.4]))
    answer = Screener(folder).screen(Waveform.from_samples(bout, rate_hz=16_000)).conditions[-1]
    assert answer.prediction_set == ("yes",)
    assert answer.abstained_because == ("voters_disagree",)


@pytest.mark.parametrize("row", [[0.5], [0.2, 0.3, 0.5], [0.5, 0.9], [1.5, -0.5]], ids=str)
def test_a_voter_that_gives_no_probabilities_is_refused(folder: Path, row: list[float]) -> None:
    declare(folder, own_voters(folder, row))
    with pytest.raises(errors.BundleIncompatible, match=r"own0\.onnx"):
        Screener(folder)


def test_a_voter_of_another_window_is_refused(folder: Path) -> None:
    voters = own_voters(folder, [0.5, 0.5], [0.5, 0.5])
    voters[1]["window_s"] = 0.75
    declare(folder, voters)
    with pytest.raises(errors.BundleIncompatible, match=r"own1\.onnx does not take coughs"):
        Screener(folder)
