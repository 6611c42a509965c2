"""Extreme prevalences, ages and measured figures ended in a traceback, and in the service in a 500."""

from __future__ import annotations

import math

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from pydantic import ValidationError
from typer.testing import CliRunner

from cough import errors
from cough.bundle import Bundle
from cough.cli import app
from cough.encoder import Encoder
from cough.odds import predictive_ranges, predictive_values, probability_of
from cough.symptoms import SymptomAnswers, SymptomSpec, answer
from tests.conftest import EXAMPLES


@given(prevalence=st.floats(min_value=5e-324, max_value=math.nextafter(1, 0)), yes=st.booleans())
def test_any_prevalence_has_an_answer(bundle: Bundle, prevalence: float, yes: bool) -> None:
    spec = bundle.spec.conditions[0].symptoms
    assert spec is not None
    said = answer(spec, SymptomAnswers(fever=yes, asthma=not yes), prevalence=prevalence)
    assert said is not None
    assert 0 <= said.probability <= 1
    for value in (said.positive_predictive_value, said.negative_predictive_value):
        assert value is None or 0 <= value <= 1


def test_what_nobody_would_be_called_has_no_value() -> None:
    assert predictive_values(0.0, 1.0, 0.3) == (None, 0.7)
    assert predictive_values(1.0, 0.0, 0.3) == (pytest.approx(0.3), None)
    assert (probability_of(-1e4), probability_of(1e4)) == (0, 1)


@given(
    ends=st.lists(st.floats(0, 1), min_size=4, max_size=4).map(sorted),
    prevalence=st.floats(min_value=5e-324, max_value=math.nextafter(1, 0)),
)
def test_whatever_was_measured_its_range_is_one(ends: list[float], prevalence: float) -> None:
    sensitivity_95, specificity_95 = (ends[0], ends[2]), (ends[1], ends[3])
    ranges = predictive_ranges(sensitivity_95, specificity_95, prevalence)
    inside = predictive_values(sum(sensitivity_95) / 2, sum(specificity_95) / 2, prevalence)
    for between, value in zip(ranges, inside, strict=True):
        if between is not None:
            assert 0 <= between[0] <= between[1] <= 1
            assert value is not None and between[0] - 1e-9 <= value <= between[1] + 1e-9
    assert predictive_ranges(None, specificity_95, prevalence) == (None, None)


def test_the_command_takes_them() -> None:
    cough = str(EXAMPLES / "synthetic_cough.m4a")
    said = ["--symptom", "fever=no", "--symptom", "asthma=yes", "--prevalence", "5e-324"]
    assert CliRunner().invoke(app, ["screen", cough, *said]).exit_code == 0
    refused = CliRunner().invoke(app, ["screen", cough, "--symptom", "age=" + "9" * 5_000])
    assert refused.exit_code == 2


def test_an_average_for_every_weight(bundle: Bundle) -> None:
    spec = bundle.spec.conditions[0].symptoms
    assert spec is not None
    facts = spec.model_dump()
    del facts["averages"]["fever"]
    with pytest.raises(ValidationError, match="fever"):
        SymptomSpec.model_validate(facts)


@pytest.mark.parametrize("scale", [2.0, float("nan")])
def test_an_encoder_whose_rows_are_not_of_unit_length_is_refused(bundle: Bundle, scale: float) -> None:
    """A user's own, in the place of ours; NaN went as far as the JSON."""
    spec = bundle.spec.encoder
    size = spec.embedding_size
    row = np.full((1, size), scale / math.sqrt(size), np.float32)
    nodes = [
        helper.make_node("ReduceMean", ["window"], ["mean"], axes=[1], keepdims=1),
        helper.make_node(
            "Constant", [], ["zero"], value=onnx.numpy_helper.from_array(np.zeros((1, 1), np.float32))
        ),
        helper.make_node("Constant", [], ["row"], value=onnx.numpy_helper.from_array(row)),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "row"], ["embedding"]),
    ]
    graph = helper.make_graph(
        nodes, "constant",
        [helper.make_tensor_value_info("window", TensorProto.FLOAT, ["batch", None])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", size])],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    changed = Bundle(bundle.spec, "", {**bundle.contents, spec.file: model.SerializeToString()})
    with pytest.raises(errors.BundleIncompatible, match="unit length"):
        Encoder(changed)
