"""Figures, leaks and confounders that ``cough evaluate`` told more of than there was to tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cough.evaluation import resampling
from cough.evaluation.choices import Beside
from cough.evaluation.comparators import Comparator
from cough.evaluation.increments import increments
from cough.evaluation.leaks import Known, LookedFor, looked_for, met
from cough.evaluation.matching import exact_match, propensity_match
from cough.evaluation.metrics import holm, wilson
from cough.evaluation.report import SUMMARY, write_report
from cough.evaluation.resampling import compare, set_against
from cough.evaluation.sound import sound
from cough.evaluation.study import evaluate
from cough.evaluation.table import columns_of, features, join, same_or_unknown
from cough.evaluation.verdict import judge
from cough.manifest import Manifest
from tests.cough.evaluation import test_study
from tests.cough.evaluation.test_study import comparator, world
from tests.known_issues.test_the_evaluation_could_be_fooled import altered
from tests.known_issues.test_the_verdict_said_what_was_not_known import condition as condition_with

N = 120

FIVE = np.repeat([0.0, 1.0], 5)
APART = np.where(FIVE == 1, 0.9, 0.1)
PEOPLE = np.arange(10)
LEAST = wilson(1.0, 5)[0]
"""Of a share on which five people agree."""


def test_ten_people_told_apart_are_no_certainty() -> None:
    """All agreed in every draw, so that intervals of what rests on their agreement were points."""
    found = sound(FIVE, APART, pd.DataFrame({"said_x": FIVE}), "x", PEOPLE)
    for figure in (found["auroc"], found["auprc"]):
        assert (figure["value"], figure["low"]) == (1.0, pytest.approx(LEAST))
    assert all(one["accuracy"]["low"] <= wilson(1.0, 10)[0] + 1e-9 for one in found["abstaining"])
    rare = found["predictive_values"][0]
    assert (rare["prevalence"], rare["ppv"]["value"], rare["npv"]["value"]) == (0.005, 1.0, 1.0)
    assert rare["ppv"]["low"] == pytest.approx(0.005 / (0.005 + 0.995 * (1 - LEAST)), rel=1e-3)
    assert rare["npv"]["low"] < 0.999
    half = next(one for one in found["net_benefit"] if one["threshold"] == 0.5)["audio"]
    assert half["value"] == 0.5
    assert half["low"] <= 0.5 * LEAST


def test_what_is_set_against_so_few_is_no_certainty_either() -> None:
    found = set_against(FIVE, APART, APART, PEOPLE)
    for figure in (found["this"], found["other"]):
        assert (figure["low"], figure["high"]) == (pytest.approx(LEAST), 1.0)
    assert found["this_minus_other"] == pytest.approx({"value": 0, "low": LEAST - 1, "high": 1 - LEAST})
    assert compare(FIVE, APART, APART, PEOPLE)["other"] == found["other"]


def test_a_figure_that_varies_keeps_its_resampled_interval() -> None:
    random = np.random.default_rng(0)
    y = (np.arange(200) % 2).astype(float)
    p = 1 / (1 + np.exp(-random.normal(size=200) - y + 0.5))
    found = sound(y, p, pd.DataFrame({"said_x": np.full(200, np.nan)}), "x", np.arange(200))
    ppv = found["predictive_values"][-1]["ppv"]
    assert ppv["high"] - ppv["low"] < 0.25
    against = set_against(y, p, random.random(200), np.arange(200))
    assert against["this_minus_other"]["low"] > 0


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(test_study, "N", N)
    monkeypatch.setattr(resampling, "RESAMPLES", 60)


def ill(folder: Path) -> np.ndarray:
    return pd.read_csv(world(folder)[1])["covid_status"].eq("positive").to_numpy()


def metrics_of(folder: Path, *beside: str, **columns: Any) -> dict[str, Any]:
    predictions, path = altered(folder, manifest=columns)
    chosen = [Beside.parse(text) for text in beside]
    return evaluate(join(predictions, Manifest.open(path), beside=chosen))


def test_confounders_of_the_corpora_by_agreement_have_a_place() -> None:
    """Smoking, vaccination and vital signs were set beside nothing, and never named."""
    asked = ["smoker_status", "smoke_lweek", "vaccination_status", "heart_rate", "temperature", "height"]
    frame = pd.DataFrame(columns=asked)
    assert columns_of(frame, "history") == ["smoker_status", "smoke_lweek", "vaccination_status"]
    assert columns_of(frame, "vital signs") == ["heart_rate", "temperature", "height"]


@pytest.mark.usefixtures("quick")
def test_vital_signs_are_numbers_unless_they_are_words(tmp_path: Path) -> None:
    said = {"weight": ["NA", *range(N - 1)], "temperature": ["high", "normal", "36.6"] * (N // 3)}
    predictions, path = altered(tmp_path, manifest=said)
    table = features(join(predictions, Manifest.open(path)).frame, "vital signs")
    assert table is not None
    assert (table["weight"].dtype, set(table["temperature"])) == (float, {"high", "normal", "36.6"})


@pytest.mark.usefixtures("quick")
def test_a_status_that_is_no_label_is_named_and_a_label_is_not(tmp_path: Path) -> None:
    words = np.where(ill(tmp_path / "a"), "x", "y")
    claims = ("covid19_evidence", "stated_status", "status", "covid_tested", "")
    told = dict.fromkeys((*claims, "employment_status", "mic:model", "model"), words)
    condition = metrics_of(tmp_path / "b", "mic=mic:model", **told)["conditions"]["covid19"]
    assert {one["column"] for one in condition["not_beside"]} == {"employment_status", "model"}


@pytest.mark.parametrize(
    ("columns", "group", "same", "unknown"),
    [
        ({"sex": "ff", "age": ["", ""]}, "age and sex", ["sex"], ["age"]),
        ({"sex": "ff", "age_band": "yy"}, "age and sex", ["age and sex"], []),
        ({"sex": "fm", "age": ["", ""]}, "age and sex", [], ["age"]),
        ({"sex": "fm", "age": [30, 30]}, "age and sex", ["age"], []),
        ({"sex": "fm", "age": [30, 40]}, "age and sex", [], []),
        ({"country": ["India", "India"]}, "place", [], ["place"]),
        ({"country": ["India", "India"], "city": "cc"}, "place", ["place"], []),
        ({"fever": ["no", "no"]}, "symptoms", [], ["symptoms"]),
        ({"chosen:mic:a": "xx"}, "mic", ["mic"], []),
    ],
)
def test_one_column_is_not_its_group(
    columns: dict[str, Any], group: str, same: list[str], unknown: list[str]
) -> None:
    """One constant column made its group "the same for every recording", one that varied made it known."""
    frame = pd.DataFrame({name: list(cells) for name, cells in columns.items()})
    assert same_or_unknown(frame, group) == (same, unknown)


@pytest.mark.usefixtures("quick")
def test_what_a_comparator_was_fitted_on_is_said(tmp_path: Path) -> None:
    metrics = metrics_of(tmp_path / "in", age="")
    condition = metrics["conditions"]["covid19"]
    assert comparator(condition, "age and sex")["columns"] == ["sex"]
    assert "age" in condition["absent"]
    assert any("Not known" in s and " age" in s for s in condition["verdict"]["sentences"])
    write_report(metrics, tmp_path / "out", title="t")
    assert "age and sex (sex); " in (tmp_path / "out" / SUMMARY).read_text()


def manifest_of(folder: Path, header: str, *lines: str) -> Manifest:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recordings.csv").write_text("\n".join([header, *lines]) + "\n")
    return Manifest.open(folder)


@pytest.mark.parametrize(
    ("trained", "judged"),
    [
        ("s1,g", "s2,g"),  # a group of two people
        ("s1,g", "unknown,g"),
        ("unknown,g", "s2,g"),
        (",", ","),  # by the recording alone
    ],
)
def test_a_leak_by_group_or_recording_is_found_beside_trained_on(
    tmp_path: Path, trained: str, judged: str
) -> None:
    """``--trained-on`` compared subjects alone, and the check of groups was off with it."""
    header = "recording_id,path,subject_id,group_id"
    first = "b" if trained == "," else "a"
    known = Known.of(manifest_of(tmp_path / "t", header, f"{first},a.wav,{trained}", "z,z.wav,s9,g9"))
    subject, group = judged.split(",")
    names = {"subject": [subject or "recording:b", "s8"], "recording_id": ["b", "c"], "group_id": [group, ""]}
    assert list(met(pd.DataFrame(names), known)) == [True, False]


@pytest.mark.parametrize(
    ("trained", "judged", "people"),
    [
        ("s1,g", ("s2", "g2"), True),
        ("s1,", ("s2", "g2"), True),
        (",g", ("s2", "g2"), True),
        (",g", ("s2", ""), False),
        ("s1,", ("recording:b", "g2"), False),
    ],
)
def test_people_were_looked_for_where_both_sides_name_them(
    tmp_path: Path, trained: str, judged: tuple[str, str], people: bool
) -> None:
    header = "recording_id,path,subject_id,group_id"
    known = Known.of(manifest_of(tmp_path, header, f"a,a.wav,{trained}"))
    rows = pd.DataFrame({"subject": [judged[0]], "group_id": [judged[1]]})
    assert looked_for(rows, known) == LookedFor(people=people, sounds=False)
    few = pd.concat([rows, *[pd.DataFrame({"subject": ["recording:x"], "group_id": [""]})] * 3])
    assert not looked_for(few, known).people


def p_of(p: np.ndarray, s: np.ndarray, y: np.ndarray) -> float:
    (found,) = increments(y, p, np.arange(len(y)), [Comparator("other", (), s)])
    return found["p_audio_adds_holm"]


def test_scores_of_a_rare_condition_add_what_they_tell() -> None:
    """All below 0.001, they were one score, and the missing p-value was printed as 1.000."""
    random = np.random.default_rng(0)
    y = (np.arange(300) % 2).astype(float)
    other = random.random(300)
    rare = 10 ** (random.normal(size=300) / 3 + y - 6)
    assert p_of(rare, other, y) < 1e-6
    assert p_of(10 ** (random.normal(size=300) / 3 - 6), other, y) > 0.01
    assert p_of(np.where(np.arange(300) == 7, 0.0, rare), other, y) < 1e-6
    assert p_of(y.copy(), other, y) < 1e-6
    assert np.isnan(p_of(np.full(300, 0.5), other, y))


def test_a_missing_p_value_stays_missing_and_counts_for_none() -> None:
    nan = float("nan")
    assert holm([0.04, nan, 0.01]) == pytest.approx([0.04, nan, 0.02], nan_ok=True)
    assert np.isnan(holm([nan])).all()


def pairs(method: str, on: list[str], **after: float) -> dict[str, Any]:
    balance = [{"name": name, "before": 1.0, "after": gap} for name, gap in after.items()]
    figure = {"value": 0.8, "low": 0.7, "high": 0.9}
    return {"method": method, "n_pairs": 40, "on": on, "auroc": figure, "balance": balance}


@pytest.mark.parametrize(
    ("exact", "propensity", "level"),
    [
        # Each balances what the other does not.
        ({"sex": 0.0}, {"sex": 0.4, "level_rms_db": 0.1}, "not_beyond"),
        ({"sex": 0.0}, {"sex": 0.1, "level_rms_db": 0.4}, "not_beyond"),
        ({"sex": 0.0}, {"sex": 0.1, "level_rms_db": 0.1}, "beyond_comparators"),
        ({"sex": 0.3}, {"sex": 0.1, "level_rms_db": 0.1}, "beyond_comparators"),
    ],
)
def test_one_method_makes_pairs_alike_in_everything(
    exact: dict[str, float], propensity: dict[str, float], level: str
) -> None:
    matched = [
        pairs("exact", ["age and sex"], **exact),
        pairs("propensity", ["age and sex", "levels"], **propensity),
    ]
    verdict = judge(condition_with(matched=matched))
    assert verdict.level == level
    said = any("alike in all of age and sex and levels" in sentence for sentence in verdict.sentences)
    assert said == (level == "not_beyond")


@pytest.mark.parametrize("seed", range(4))
def test_pairs_are_those_of_the_slow_way(seed: int) -> None:
    """Every cell went through all rows, every positive through all negatives: hours for 200,000 rows."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, 300).astype(float)
    numbers = random.integers(0, 8, 300) + labels  # the propensity grows with them
    table, who = pd.DataFrame({"number": numbers}), np.arange(300)
    exact = exact_match(table, labels, who, seed=seed).pairs
    assert (numbers[exact[:, 0]] == numbers[exact[:, 1]]).all()
    assert len(exact) == sum(
        min(((numbers == value) & (labels == k)).sum() for k in (0, 1)) for value in set(numbers)
    )
    free = set(np.flatnonzero(labels == 0).tolist())
    for positive, negative in propensity_match(table, labels, who, seed=seed).pairs.tolist():
        gaps = {i: abs(numbers[i] - numbers[positive]) for i in free}
        assert gaps[negative] == min(gaps.values())
        assert negative == min(i for i in free if numbers[i] == numbers[negative])
        free.remove(negative)
