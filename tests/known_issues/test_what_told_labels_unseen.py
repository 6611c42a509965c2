"""Columns that told the label in a shape that no comparator read, so that the verdict was "beyond"."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cough import errors
from cough.evaluation import resampling
from cough.evaluation.comparators import out_of_fold, subject_folds
from cough.evaluation.matching import exact_match
from cough.evaluation.metrics import auroc
from cough.evaluation.study import evaluate
from cough.evaluation.table import Table, features, has_levels, join, only
from cough.manifest import Manifest
from tests.cough.evaluation import test_study
from tests.cough.evaluation.test_study import comparator, world
from tests.known_issues.test_the_evaluation_could_be_fooled import altered

N = 120


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(test_study, "N", N)
    monkeypatch.setattr(resampling, "RESAMPLES", 60)


def ill(folder: Path) -> np.ndarray:
    return pd.read_csv(world(folder)[1])["covid_status"].eq("positive").to_numpy()


def joined(folder: Path, **columns: dict[str, object]) -> Table:
    table, path = altered(folder, **columns)
    return join(table, Manifest.open(path))


def tells(table: Table, group: str) -> float:
    labels = table.frame["label_covid19"].to_numpy(float)
    columns = features(table.frame, group)
    assert columns is not None
    folds = subject_folds(labels, table.frame["subject"].to_numpy(), seed=0)
    return auroc(labels, out_of_fold(columns, labels, folds, seed=0))


@pytest.mark.parametrize(
    "form",
    ["{epoch}", "{excel}", "%Y-%m-%d_%H-%M-%S", "%G-W%V", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%Y-%m-%d"],
)
def test_a_date_is_read_however_it_is_written(form: str, tmp_path: Path) -> None:
    """Of numbers, weeks and odd separators nothing was left; 03/04 was read in whichever way passed."""
    days = pd.Timestamp("2020-01-01") + pd.to_timedelta(
        np.arange(N) % 25 + 40 * ill(tmp_path / "a"), unit="D"
    )
    epoch = (days - pd.Timestamp(0)) // pd.Timedelta(1, "s")
    words = {"{epoch}": epoch.astype(str), "{excel}": (epoch // 86_400 + 25_569).astype(str)}
    written = words[form] if form in words else days.strftime(form)
    assert tells(joined(tmp_path / "b", manifest={"date": written}), "date") > 0.9


def test_of_two_dates_the_one_that_says_more_is_read(tmp_path: Path) -> None:
    days = np.where(ill(tmp_path / "a"), "2020-05-02", "2020-06-03")
    dates = {"date": ["2020-03-01", "2020-04-01", *[""] * (N - 2)], "submission_date": days}
    assert tells(joined(tmp_path / "b", manifest=dates), "date") > 0.95


@pytest.mark.parametrize("column", ["country", "device", "smoker", "source"])
def test_who_was_not_asked_is_a_comparator_in_every_group(column: str, tmp_path: Path) -> None:
    """Only blanks in ages, sexes and symptoms were; one word or nothing was called "not known"."""
    said = {column: np.where(ill(tmp_path / "a"), "something", "")}
    condition = evaluate(joined(tmp_path / "b", manifest=said))["conditions"]["covid19"]
    assert comparator(condition, "missing answers")["auroc"]["value"] > 0.95
    assert condition["verdict"]["level"] != "beyond_comparators"


def test_some_levels_are_no_levels(tmp_path: Path) -> None:
    frame = joined(tmp_path).frame
    assert has_levels(frame)
    assert not has_levels(frame.drop(columns="level_rms_db"))
    assert not has_levels(frame.assign(level_rms_db=np.where(np.arange(N) % 10, 1.0, np.nan)))
    levels = [c for c in frame if c.startswith("level_")]
    assert not has_levels(frame.assign(**dict.fromkeys(levels, 0.0)))
    partial = joined(tmp_path / "b", predictions={"level_peak_db": np.nan})
    condition = evaluate(partial)["conditions"]["covid19"]
    assert "levels" in condition["absent"]


def test_who_failed_is_not_chosen_away(tmp_path: Path) -> None:
    table = joined(tmp_path, manifest={"hospital": ["a", "b"] * (N // 2)})
    with pytest.raises(errors.PredictionsInvalid, match="outcome"):
        only(table, ["outcome=screened"])
    chosen = only(table, ["hospital=a"])
    assert (len(chosen.frame), chosen.where) == (N // 2, ("hospital=a",))
    assert evaluate(chosen)["where"] == ["hospital=a"]


def test_a_number_of_two_values_is_matched_exactly() -> None:
    """Its quarters were all the same, and pairs that were nowhere alike were called exact."""
    random = np.random.default_rng(0)
    labels = (np.arange(300) % 2).astype(float)
    rare = (random.random(300) < np.where(labels == 1, 0.3, 0.02)).astype(float)
    skewed = np.where(rare == 1, random.uniform(1, 2, 300), 0.0)
    table = pd.DataFrame({"rare": rare})
    matched = exact_match(table, labels, np.arange(300), seed=0)
    assert all(rare[a] == rare[b] for a, b in matched.pairs)
    again = exact_match(pd.DataFrame({"skewed": skewed}), labels, np.arange(300), seed=0)
    assert all((skewed[a] > 0) == (skewed[b] > 0) for a, b in again.pairs)
