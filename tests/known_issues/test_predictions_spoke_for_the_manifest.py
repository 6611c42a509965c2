"""Columns of the predictions stood in for the manifest's: ``event`` was the gate's truth, ``date``
hid the one that tells the label; empty words and blank counts were taken for failures and for no cough.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cough import errors
from cough.evaluation.report import finite
from cough.evaluation.study import evaluate
from cough.evaluation.table import features, join, read_predictions
from cough.manifest import Manifest
from tests.cough.evaluation.test_study import N, world


def with_columns(folder: Path, **columns: object) -> tuple[Path, Path]:
    """A world in which the date tells the label, and more columns of the predictions."""
    predictions, manifest = world(folder, date=3.0)
    pd.read_parquet(predictions).assign(**columns).to_parquet(predictions)
    return predictions, manifest


def test_the_events_are_the_manifests(tmp_path: Path) -> None:
    predictions, manifest = with_columns(tmp_path, event="cough")
    with pytest.raises(errors.PredictionsInvalid, match="event"):
        join(predictions, Manifest.open(manifest))


def test_a_date_of_the_predictions_does_not_hide_the_manifests(tmp_path: Path) -> None:
    predictions, manifest = with_columns(tmp_path, date="2024-05-01", age="old", region="here")
    table = join(predictions, Manifest.open(manifest))
    dates = features(table.frame, "date")
    assert dates is not None
    assert dates["date_days"].nunique() > 100
    assert set(table.frame["region"]) == {"here"}  # the manifest says nothing of it
    beside = evaluate(table)["conditions"]["covid19"]["comparators"]
    assert next(c for c in beside if c["name"] == "date")["auroc"]["value"] > 0.9


def test_a_source_that_some_predictions_lack(tmp_path: Path) -> None:
    sources = [None if i % 3 else "clinic" for i in range(N)]
    predictions, manifest = with_columns(tmp_path, source=sources)
    table = join(predictions, Manifest.open(manifest))
    gate = evaluate(table)["gate"]
    assert gate is None or set(gate["by_source"]) <= {"", "clinic"}
    assert set(table.frame["source"]) == {"", "clinic"}


def test_an_empty_error_code_is_none(tmp_path: Path) -> None:
    predictions, _ = with_columns(tmp_path, error_code="", outcome=" ")
    frame = read_predictions(predictions)
    assert frame["error_code"].isna().all()
    assert frame["outcome"].isna().all()


def test_a_score_without_a_count_of_events_is_refused(tmp_path: Path) -> None:
    predictions, _ = with_columns(tmp_path, n_events=[np.nan, *range(N - 1)])
    with pytest.raises(errors.PredictionsInvalid, match="n_events"):
        read_predictions(predictions)


def test_another_model_that_says_neither_outcome_nor_error_is_compared(tmp_path: Path) -> None:
    predictions, manifest = with_columns(tmp_path)
    other = read_predictions(predictions).assign(outcome=None, error_code=None)
    metrics = evaluate(join(predictions, Manifest.open(manifest)), other=other)
    assert metrics["conditions"]["covid19"]["compared"] is not None


def test_small_figures_are_not_nothing() -> None:
    written = json.loads(
        json.dumps(finite({"p": 3.21e-12, "threshold": 1.23456789e-8, "none": float("nan")}))
    )
    assert written == {"p": 3.21e-12, "threshold": 1.23457e-8, "none": None}
