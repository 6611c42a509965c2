"""A stereo array the wrong way round was "too short", nothing at all an AttributeError, a path's letters
several recordings; a prevalence of 7 passed where a recording was turned away; NaN became embeddings.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from cough import Screener, errors
from cough.audio import Waveform
from cough.bundle import DEFAULT_BUNDLE
from cough.cli import app
from tests.cough.test_bundle import edit, replace_file

EXAMPLE = Path(__file__).parents[2] / "cough" / "examples" / "synthetic_cough.m4a"


@pytest.fixture(scope="module")
def screener() -> Screener:
    return Screener()


def test_channels_before_samples_are_too_many_channels() -> None:
    with pytest.raises(errors.TooManyChannels):
        Waveform.from_samples(np.zeros((2, 16_000), np.float32), rate_hz=16_000)


def test_nothing_is_no_recording(screener: Screener) -> None:
    with pytest.raises(TypeError, match="not NoneType"):
        screener.screen(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("one", [str(EXAMPLE), b"RIFF"])
def test_one_recording_is_not_several(screener: Screener, one: str | bytes) -> None:
    with pytest.raises(TypeError, match="several recordings"):
        screener.screen_person(one)  # type: ignore[arg-type]


@pytest.mark.parametrize("prevalence", [7.0, 0.0, float("nan")])
def test_a_prevalence_is_checked_whatever_is_heard(screener: Screener, prevalence: float) -> None:
    silence = Waveform.from_samples(np.zeros(16_000, np.float32), rate_hz=16_000)
    with pytest.raises(ValueError, match="between 0 and 1"):
        screener.screen(silence, prevalence=prevalence)


def nan_for_loud_sound(path: Path) -> bytes:
    """The encoder with its embedding divided by zero where the window is loud; silence and noise pass."""
    model = onnx.load(path)
    graph = model.graph
    out = graph.output[0].name
    for node in graph.node:
        for i, name in enumerate(node.output):
            if name == out:
                node.output[i] = "embedding_before"
    graph.initializer.extend(
        [numpy_helper.from_array(np.float32(0.51), "limit"), numpy_helper.from_array(np.array([1]), "axis")]
    )
    graph.node.extend(
        [
            helper.make_node("Abs", [graph.input[0].name], ["loudness"]),
            helper.make_node("ReduceMax", ["loudness", "axis"], ["peak"], keepdims=1),
            helper.make_node("Sub", ["limit", "peak"], ["below"]),
            # The root of what is negative is NaN; of what is not it is divided by itself.
            helper.make_node("Sqrt", ["below"], ["root"]),
            helper.make_node("Div", ["root", "root"], ["one"]),
            helper.make_node("Mul", ["embedding_before", "one"], [out]),
        ]
    )
    assert model.graph.output[0].type.tensor_type.elem_type == TensorProto.FLOAT
    return bytes(model.SerializeToString())


def test_an_embedding_that_is_no_number_is_an_error_of_its_file(tmp_path: Path) -> None:
    """``cough embed`` wrote rows of NaN, ``cough screen`` ended in a traceback and lost the other files."""
    folder = Path(shutil.copytree(DEFAULT_BUNDLE, tmp_path / "bundle"))
    edit(folder, lambda table: table.update(conditions=[]))
    replace_file(folder, "encoder.onnx", nan_for_loud_sound(folder / "encoder.onnx"))
    files = [str(EXAMPLE), str(EXAMPLE.with_name("no_such.wav"))]
    told = CliRunner().invoke(app, ["screen", *files, "--bundle", str(folder)])
    assert told.exit_code == 1, told.stderr
    assert "bundle_incompatible" in told.stderr
    assert "file_missing" in told.stderr
    out = tmp_path / "e.npy"
    told = CliRunner().invoke(app, ["embed", files[0], "-o", str(out), "--bundle", str(folder)])
    assert told.exit_code == 1, told.stderr
    assert "bundle_incompatible" in told.stderr
    assert not out.exists()
