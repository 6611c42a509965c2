"""Constructed worlds in which it is known what a score may claim."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from cough import errors
from cough.cli import app
from cough.evaluation.leaks import Known
from cough.evaluation.report import METRICS, PAGE, SUMMARY
from cough.evaluation.study import evaluate
from cough.evaluation.table import join, only
from cough.manifest import Manifest

N = 400


def world(
    folder: Path,
    *,
    seed: int = 0,
    audio: float = 0.0,
    duration: float = 0.0,
    date: float = 0.0,
    through_duration: float = 0.0,
    through_date: float = 0.0,
) -> tuple[Path, Path]:
    """Predictions and a manifest of ``N`` people.

    ``audio``: how far the score of positives lies above, in standard deviations; ``duration`` and
    ``date``: how far those lie above; ``through_...``: how much of the score is no more than that, and
    then there is no noise of its own in it.
    """
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, N)
    seconds = rng.normal(size=N) + duration * y
    days = rng.normal(size=N) + date * y
    own = 0.0 if through_date else 1.0
    score = own * rng.normal(size=N) + audio * y + through_duration * seconds + through_date * days
    names = [f"r{i}" for i in range(N)]
    manifest = pd.DataFrame(
        {
            "recording_id": names,
            "path": [f"{n}.wav" for n in names],
            "subject_id": [f"p{i}" for i in range(N)],
            "fold": rng.integers(1, 6, N),
            "event": "cough",
            "covid_status": np.where(y == 1, "positive", "negative"),
            "age": rng.integers(18, 80, N),
            "sex": rng.choice(["male", "female", ""], N),
            "date": pd.Timestamp("2020-06-01") + pd.to_timedelta(np.round(30 * days), unit="D"),
        }
    )
    levels = {f"level_{k}": rng.normal(size=N) for k in ("rms_db", "peak_db", "flatness_db")}
    more = np.random.default_rng(1)
    levels |= {f"level_{k}": more.normal(size=N) for k in ("roll_off_hz", "dynamic_range_db")}
    predictions = pd.DataFrame(
        {
            "recording_id": names,
            "error_code": None,
            "outcome": "screened",
            "cough_score": 0.9,
            "n_events": 1,
            "band": rng.choice(["wide", "telephone"], N),
            "level_duration_s": seconds,
            **levels,
            "covid19_probability": 1 / (1 + np.exp(-score + score.mean())),
            "covid19_answer": "inconclusive",
            "bundle_id": "constructed",
        }
    )
    folder.mkdir(parents=True, exist_ok=True)
    manifest.to_csv(folder / "recordings.csv", index=False)
    predictions.to_parquet(folder / "predictions.parquet")
    return folder / "predictions.parquet", folder / "recordings.csv"


def judged(folder: Path, **kinds: float) -> dict:
    predictions, manifest = world(folder, **kinds)
    return evaluate(join(predictions, Manifest.open(manifest)))["conditions"]["covid19"]


def comparator(condition: dict, name: str) -> dict:
    return next(c for c in condition["comparators"] if c["name"] == name)


@pytest.mark.parametrize(
    ("kinds", "level"),
    [
        ({}, "no_signal"),
        ({"duration": 2.0, "through_duration": 1.0}, "not_beyond"),
        ({"audio": 0.8, "date": 3.0}, "not_beyond"),
        ({"duration": 1.0, "date": 1.0, "through_duration": 1.0, "through_date": 1.0}, "not_beyond"),
        ({"audio": 1.5}, "beyond_comparators"),
    ],
    ids=["noise", "the score is duration", "the date tells the label", "two shortcuts", "real signal"],
)
def test_the_verdict_of_worlds_that_are_known(tmp_path: Path, kinds: dict[str, float], level: str) -> None:
    assert judged(tmp_path, **kinds)["verdict"]["level"] == level


def test_a_shortcut_is_named(tmp_path: Path) -> None:
    condition = judged(tmp_path, audio=1.0, date=3.0)
    assert comparator(condition, "date")["auroc"]["value"] > 0.95
    assert comparator(condition, "date")["audio_minus_this"]["high"] < 0
    assert any("date" in sentence for sentence in condition["verdict"]["sentences"])
    assert {"place", "symptoms", "source"} <= set(condition["absent"])


def test_matching_takes_away_what_duration_gave(tmp_path: Path) -> None:
    condition = judged(tmp_path, duration=1.0, through_duration=3.0)
    matched = next(m for m in condition["matched"] if m["method"] == "propensity")
    assert condition["audio"]["auroc"]["value"] > 0.7
    assert matched["auroc"]["value"] < condition["audio"]["auroc"]["value"] - 0.1
    duration = next(b for b in matched["balance"] if b["name"] == "level_duration_s")
    assert abs(duration["before"]) > 0.7
    assert abs(duration["after"]) < 0.15


def test_an_increment_over_a_comparator_is_found_and_noise_is_not(tmp_path: Path) -> None:
    strong, none = judged(tmp_path / "a", audio=1.0), judged(tmp_path / "b")
    assert all(c["p_audio_adds_holm"] < 0.001 for c in strong["comparators"])
    assert all(c["p_audio_adds_holm"] > 0.01 for c in none["comparators"])


def test_subgroups_by_language_where_the_manifest_has_it(tmp_path: Path) -> None:
    predictions, manifest = world(tmp_path, audio=1.5)
    rows = pd.read_csv(manifest)
    rows["language"] = np.where(np.arange(N) % 2, "pt", "")
    rows.to_csv(manifest, index=False)
    answer = evaluate(join(predictions, Manifest.open(manifest)))["conditions"]["covid19"]
    found = {g["value"]: g for g in answer["subgroups"] if g["column"] == "language"}
    assert {word: g["n_positive"] + g["n_negative"] for word, g in found.items()} == {
        "pt": N // 2,
        "not stated": N // 2,
    }
    assert all(g["auroc"]["low"] > 0.5 for g in found.values())


def test_the_gate_too_is_judged_by_subgroup(tmp_path: Path) -> None:
    predictions, manifest = world(tmp_path)
    rows, table = pd.read_csv(manifest), pd.read_parquet(predictions)
    coughs = np.arange(N) % 3 > 0
    rows["event"] = np.where(coughs, "cough", "speech")
    rows["language"] = np.where(np.arange(N) % 2, "pt", "en")
    rows.to_csv(manifest, index=False)
    # Right in one language, upside down in the other.
    table["cough_score"] = np.where(coughs == (rows["language"] == "pt"), 0.9, 0.1)
    table.to_parquet(predictions)
    gate = evaluate(join(predictions, Manifest.open(manifest)))["gate"]
    found = {g["value"]: g["auroc"]["value"] for g in gate["subgroups"] if g["column"] == "language"}
    assert found == {"pt": 1.0, "en": 0.0}


def test_people_of_the_training_are_a_leak(tmp_path: Path) -> None:
    predictions, manifest = world(tmp_path, audio=2.0)
    table = join(predictions, Manifest.open(manifest))
    condition = evaluate(table, trained_on=Known(frozenset({"p3", "p4", "q"})))["conditions"]["covid19"]
    assert condition["leaks"] == ["p3", "p4"]
    assert condition["verdict"]["level"] == "leak"


def test_recordings_of_the_training_are_a_leak_without_being_told(tmp_path: Path) -> None:
    predictions, manifest = world(tmp_path, audio=2.0)
    rows = pd.read_parquet(predictions)
    rows["in_training"] = False
    rows.to_parquet(predictions)
    clean = evaluate(join(predictions, Manifest.open(manifest)))["conditions"]["covid19"]
    rows.loc[[3, 4], "in_training"] = True
    rows.to_parquet(predictions)
    known = evaluate(join(predictions, Manifest.open(manifest)))["conditions"]["covid19"]
    assert clean["leaks"] == []
    assert known["leaks"] == ["p3", "p4"]
    assert known["verdict"]["level"] == "leak"


def test_few_people_are_too_few(tmp_path: Path) -> None:
    predictions, manifest = world(tmp_path, audio=3.0)
    table = join(predictions, Manifest.open(manifest))
    few = evaluate(only(table, ["age=33"]))["conditions"]["covid19"]
    assert not few["judged"] or few["verdict"]["level"] == "too_few"


def test_conflicting_and_unknown_labels_are_left_out(tmp_path: Path) -> None:
    predictions, manifest = world(tmp_path, audio=1.0)
    table = pd.read_csv(manifest)
    table["label_conflict"] = 0
    table.loc[:9, "label_conflict"] = 1
    table.loc[10:19, "covid_status"] = "recovered"
    table.to_csv(manifest, index=False)
    joined = join(predictions, Manifest.open(manifest))
    assert joined.frame["label_covid19"].notna().sum() == N - 20


def test_two_models_on_the_same_rows(tmp_path: Path) -> None:
    predictions, manifest = world(tmp_path, audio=1.5)
    other = pd.read_parquet(predictions)
    other["covid19_probability"] = np.random.default_rng(3).random(N)
    table = join(predictions, Manifest.open(manifest))
    compared = evaluate(table, other=other)["conditions"]["covid19"]["compared"]
    assert compared["this_minus_other"]["low"] > 0
    assert compared["p_delong"] < 1e-6


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["evaluate", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


def test_the_command_writes_a_page_that_needs_nothing_else(tmp_path: Path) -> None:
    predictions, manifest = world(tmp_path / "in", audio=1.0)
    out = tmp_path / "report"
    code, said, _ = run(predictions, manifest, "-o", out)
    assert code == 0, said
    assert sorted(p.name for p in out.iterdir()) == sorted([PAGE, SUMMARY, METRICS])
    page = (out / PAGE).read_text()
    assert page.count("<svg") == 7
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )
    assert json.loads((out / METRICS).read_text())["conditions"]["covid19"]["judged"]
    assert "covid19" in (out / SUMMARY).read_text()
    before = (out / METRICS).read_bytes()
    assert run(predictions, manifest, "-o", out)[0] == 0
    assert (out / METRICS).read_bytes() == before


@pytest.mark.parametrize("kind", ["no file", "no parquet", "no column", "nothing in common", "other folder"])
def test_bad_input_is_one_line_and_leaves_nothing(tmp_path: Path, kind: str) -> None:
    predictions, manifest = world(tmp_path / "in")
    out = tmp_path / "report"
    if kind == "no file":
        predictions = tmp_path / "none.parquet"
    elif kind == "no parquet":
        predictions.write_bytes(b"no table")
    elif kind == "no column":
        pd.DataFrame({"recording_id": ["r1"]}).to_parquet(predictions)
    elif kind == "nothing in common":
        table = pd.read_parquet(predictions)
        table.assign(recording_id="x" + table["recording_id"]).to_parquet(predictions)
    else:
        out.mkdir()
        (out / "thesis.tex").write_text("")
    code, said, told = run(predictions, manifest, "-o", out)
    assert code == 1
    assert "predictions_invalid" in told
    assert not said
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []
    assert not out.exists() or [p.name for p in out.iterdir()] == ["thesis.tex"]


def test_a_manifest_that_cannot_be_read_is_the_callers_setup(tmp_path: Path) -> None:
    predictions, manifest = world(tmp_path / "in")
    code, said, told = run(predictions, tmp_path / "none.csv", "-o", tmp_path / "report")
    assert (code, said) == (2, "")
    assert "manifest_missing" in told
    code, _, told = run(
        predictions, manifest, "-o", tmp_path / "report", "--trained-on", tmp_path / "none.csv"
    )
    assert code == 2
    assert "manifest_missing" in told
    assert not (tmp_path / "report").exists()


def test_where_takes_columns_of_the_manifest(tmp_path: Path) -> None:
    predictions, manifest = world(tmp_path)
    table = join(predictions, Manifest.open(manifest))
    assert set(only(table, ["sex=male"]).frame["sex"]) == {"male"}
    for bad in ("sex", "shoe=42", "sex=wizard"):
        with pytest.raises(errors.PredictionsInvalid):
            only(table, [bad])
