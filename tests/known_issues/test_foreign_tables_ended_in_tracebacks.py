"""Predictions without answers, and a manifest with a column ``label_covid19``, ended in tracebacks; shares
in per cent were judged as probabilities.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cough import errors
from cough.evaluation.study import evaluate
from cough.evaluation.table import join, read_predictions
from cough.manifest import Manifest
from tests.cough.evaluation.test_study import world

CHANGES: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "no answer": lambda t: t.drop(columns="covid19_answer"),
    "per cent": lambda t: t.assign(covid19_probability=100 * t["covid19_probability"]),
    "words": lambda t: t.assign(covid19_probability="high"),
    "a score beyond one": lambda t: t.assign(cough_score=1.5),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_what_are_no_probabilities_is_said(tmp_path: Path, kind: str) -> None:
    predictions, _ = world(tmp_path)
    CHANGES[kind](pd.read_parquet(predictions)).to_parquet(predictions)
    with pytest.raises(errors.PredictionsInvalid):
        read_predictions(predictions)


def test_names_of_ours_in_a_manifest_do_no_harm(tmp_path: Path) -> None:
    predictions, manifest = world(tmp_path)
    table = pd.read_csv(manifest).drop(columns="date")
    table.assign(label_covid19="x", date_days="x", subject="x").to_csv(manifest, index=False)
    frame = join(predictions, Manifest.open(manifest)).frame
    assert set(frame["label_covid19"]) == {0.0, 1.0}
    assert frame["subject"].nunique() == len(frame)
    assert "date_days" not in frame


def test_a_model_for_other_recordings_is_no_comparison(tmp_path: Path) -> None:
    predictions, manifest = world(tmp_path)
    table = join(predictions, Manifest.open(manifest))
    other = pd.read_parquet(predictions)
    with pytest.raises(errors.PredictionsInvalid, match="none of these"):
        evaluate(table, other=other.assign(recording_id="x" + other["recording_id"]))


def test_nobody_is_matched_on_what_is_not_here(tmp_path: Path) -> None:
    predictions, manifest = world(tmp_path)
    with pytest.raises(errors.PredictionsInvalid, match="place"):
        evaluate(join(predictions, Manifest.open(manifest)), match_on=("place",))


def test_a_condition_without_a_label_is_named(tmp_path: Path) -> None:
    predictions, manifest = world(tmp_path)
    table = pd.read_csv(manifest).drop(columns="covid_status")
    table["event"] = np.where(np.arange(len(table)) % 2, "cough", "speech")
    table.to_csv(manifest, index=False)
    both = pd.read_parquet(predictions)
    metrics = evaluate(join(predictions, Manifest.open(manifest)), other=both)
    assert metrics["unlabelled_conditions"] == ["covid19"]
    assert metrics["gate"]["compared"]["this_minus_other"]["value"] == 0.0
