"""Coswara's forms hold ``True`` or nothing: symptoms were said to be absent, and blanks took their credit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cough.evaluation.comparators import MISSING, comparators, subject_folds
from cough.evaluation.metrics import auroc
from cough.evaluation.table import answers, columns_of, features, join
from cough.manifest import Manifest
from training.corpus import corpus_path

COSWARA = corpus_path() / "metadata" / "coswara_metadata.csv"
N = 120


def manifest(folder: Path, columns: dict[str, list[str]]) -> tuple[Path, Manifest]:
    """Predictions and a manifest of ``N`` people with these columns."""
    names = [f"r{i}" for i in range(N)]
    known = {"recording_id": names, "path": names, "group_id": names, "source": "coswara", **columns}
    pd.DataFrame(known).to_csv(folder / "recordings.csv", index=False)
    predicted = {"recording_id": names, "error_code": None, "outcome": "screened", "n_events": 1}
    pd.DataFrame({**predicted, "cough_score": 0.9}).to_parquet(folder / "predictions.parquet")
    return folder / "predictions.parquet", Manifest.open(folder)


def test_a_blank_box_is_not_ticked(tmp_path: Path) -> None:
    ill = np.arange(N) % 2 == 1
    fever = ["True" if k and i % 3 else "" for i, k in enumerate(ill)]
    frame = join(*manifest(tmp_path, {"fever": fever, "asthma": ["True", *[""] * (N - 1)]})).frame
    table = features(frame, "symptoms")
    assert table is not None
    assert list(table) == ["fever", "asthma"]
    assert (table["fever"] == np.where(np.array(fever) == "True", "True", "False")).all()
    y = ill.astype(float)
    found = {c.name: c for c in comparators(frame, y, subject_folds(y, frame["subject"], seed=1), seed=1)}
    assert MISSING not in found
    assert auroc(y, found["symptoms"].scores) > 0.8


def test_whether_no_is_ever_said_does_not_depend_on_who_was_measured(tmp_path: Path) -> None:
    said = ["False", *["True", ""] * ((N - 1) // 2), "True"]
    predictions, opened = manifest(tmp_path, {"fever": said, "cold": ["", *["True"] * (N - 1)]})
    pd.read_parquet(predictions).iloc[1:].to_parquet(predictions)  # whoever said no is not measured
    frame = join(predictions, opened).frame
    assert (frame["fever"] == said).all()
    assert list(frame["cold"]) == ["False", *["True"] * (N - 1)]


@given(st.lists(st.sampled_from(["True", "False", "", "y", "dry"]), min_size=1, max_size=12))
def test_only_columns_of_ticks_and_blanks_are_boxes(words: list[str]) -> None:
    ours = pd.DataFrame({"source": "a", "fever": words})
    other = pd.DataFrame({"source": "b", "fever": ["", ""]})  # a corpus that did not ask
    told = answers(pd.concat([ours, other], ignore_index=True))
    assert list(told.loc[told["source"] == "b", "fever"]) == ["", ""]
    here = list(told.loc[told["source"] == "a", "fever"])
    boxes = set(words) <= {"True", "y", ""} and set(words) != {""}
    assert here == ([str(word != "") for word in words] if boxes else words)
    assert answers(told).equals(told)


def test_columns_of_the_corpora_by_agreement_have_a_place() -> None:
    frame = pd.DataFrame(
        columns=["symptom_cough_any", "age_band", "night_sweats", "country", "split_symptom_x"]
    )
    assert columns_of(frame, "symptoms") == ["night_sweats", "symptom_cough_any"]
    assert columns_of(frame, "age and sex") == ["age_band"]
    assert columns_of(frame, "place") == ["country"]


@pytest.mark.corpus
@pytest.mark.skipif(not COSWARA.exists(), reason="no Coswara table")
def test_coswaras_own_table() -> None:
    people = pd.read_csv(COSWARA).rename(columns={"cough": "cough_symptom"})  # as its recipe calls it
    people = people[~people["covid_status"].isin(["recovered_full", "under_validation"])]
    frame = answers(people[columns_of(people, "symptoms")])
    y = people["covid_status"].str.startswith("positive").to_numpy(float)
    (found,) = comparators(frame, y, subject_folds(y, people["id"], seed=1), seed=1)
    assert found.name == "symptoms"
    assert {"fever", "cough_symptom", "loss_of_smell", "st", "bd"} <= set(found.columns)
    assert auroc(y, found.scores) > 0.85
