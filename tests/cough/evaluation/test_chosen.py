"""What the caller chooses: columns beside the sound, rows that were trained on; and what matching leaves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from cough import errors
from cough.cli import app
from cough.evaluation.choices import Beside
from cough.evaluation.leaks import Known
from cough.evaluation.matching import propensity_match
from cough.evaluation.report import METRICS, PAGE, SUMMARY
from cough.evaluation.study import evaluate
from cough.evaluation.table import join, only
from cough.evaluation.verdict import UNBALANCED, judge
from cough.manifest import Manifest
from tests.cough.evaluation.test_study import N, comparator, judged, world


def with_columns(folder: Path, **columns: object) -> tuple[Path, Path]:
    """A real signal, and more columns in its manifest."""
    predictions, manifest = world(folder, audio=1.5)
    pd.read_csv(manifest).assign(**columns).to_csv(manifest, index=False)
    return predictions, manifest


def ill(folder: Path) -> np.ndarray:
    return (pd.read_csv(world(folder, audio=1.5)[1])["covid_status"] == "positive").to_numpy()


@pytest.mark.parametrize("numbers", [False, True], ids=["words", "numbers"])
def test_a_column_of_any_name_stands_beside_the_sound(tmp_path: Path, numbers: bool) -> None:
    """The ward's microphone tells all; nobody could know by its column's name."""
    sick = ill(tmp_path / "a")
    mics = np.where(sick, 48, 44) if numbers else np.where(sick, "ward", "home")
    predictions, manifest = with_columns(tmp_path / "b", mic=mics)
    blind = evaluate(join(predictions, Manifest.open(manifest)))["conditions"]["covid19"]
    assert blind["verdict"]["level"] == "beyond_comparators"
    table = join(predictions, Manifest.open(manifest), beside=[Beside.parse("microphone=mic")])
    condition = evaluate(table)["conditions"]["covid19"]
    assert comparator(condition, "microphone")["auroc"]["value"] == 1.0
    assert condition["verdict"]["level"] == "not_beyond"
    assert all("microphone" in m["on"] for m in condition["matched"])


def test_a_group_that_is_there_takes_the_column_in(tmp_path: Path) -> None:
    predictions, manifest = with_columns(tmp_path, phone=np.arange(N) % 3)
    table = join(predictions, Manifest.open(manifest), beside=[Beside.parse("device and channel=phone")])
    columns = comparator(evaluate(table)["conditions"]["covid19"], "device and channel")["columns"]
    assert "chosen:device and channel:phone" in columns
    assert "band" in columns


def test_a_column_that_is_blank_in_the_rows_looked_at_is_not_said_to_be_missing(tmp_path: Path) -> None:
    """Its name stands in the manifest, for whoever reads "not in this manifest" to see."""
    later = np.arange(N) % 3 == 0
    predictions, manifest = with_columns(
        tmp_path, split=np.where(later, "train", "test"), mic=np.where(later, "ward", "")
    )
    table = join(predictions, Manifest.open(manifest), beside=[Beside.parse("microphone=mic")])
    condition = evaluate(only(table, ["split=test"]))["conditions"]["covid19"]
    assert "microphone" in condition["absent"]
    said = " ".join(condition["verdict"]["sentences"])
    assert "microphone" in said
    assert "manifest" not in said


@pytest.mark.parametrize("column", ["covid_status", "shoe", "blank"])
def test_what_cannot_stand_beside_the_sound_is_refused(tmp_path: Path, column: str) -> None:
    predictions, manifest = with_columns(tmp_path, blank="")
    with pytest.raises(errors.ManifestInvalid, match=column):
        join(predictions, Manifest.open(manifest), beside=[Beside.parse(f"clinic={column}")])


@pytest.mark.parametrize("kind", ["dates", "numbers and a word"])
def test_dates_and_numbers_are_no_words(tmp_path: Path, kind: str) -> None:
    """As words, each its own, they told nothing."""
    value = 4.0 * ill(tmp_path / "a") + np.random.default_rng(3).normal(size=N)
    if kind == "dates":
        cells = (pd.Timestamp("2021-03-01") + pd.to_timedelta(np.round(30 * value), unit="D")).strftime(
            "%d %b %Y"
        )
    else:
        cells = np.where(np.arange(N) == 7, "unknown", np.round(value, 3).astype(str))
    predictions, manifest = with_columns(tmp_path / "b", visit=cells)
    table = join(predictions, Manifest.open(manifest), beside=[Beside.parse("date=visit")])
    condition = evaluate(table)["conditions"]["covid19"]
    assert comparator(condition, "date")["auroc"]["value"] > 0.95
    assert condition["verdict"]["level"] == "not_beyond"
    assert any("date" in matched["on"] for matched in condition["matched"])


def test_a_class_apart_within_which_nothing_varies_is_not_balanced() -> None:
    sick = np.repeat([1.0, 0.0], 50)
    table = pd.DataFrame({"mic": sick, "age": np.tile(np.arange(10.0), 10)})
    matched = propensity_match(table, sick, np.arange(100).astype(str), seed=0)
    assert {b.name: b.before for b in matched.balance}["mic"] == np.inf


def test_a_column_of_the_reserved_kind_is_refused(tmp_path: Path) -> None:
    predictions, manifest = world(tmp_path)
    pd.read_csv(manifest).assign(**{"chosen:foo": 1}).to_csv(manifest, index=False)
    with pytest.raises(errors.ManifestInvalid, match="chosen:foo"):
        join(predictions, Manifest.open(manifest))


@pytest.mark.parametrize(
    "text",
    ["", "mic", "=mic", "mic=", "mic=a,,b", "a:b=mic", "levels =mic", "missing answers=mic", "a|b=mic"],
)
def test_what_is_no_choice_of_columns(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not NAME=COLUMN|cannot be the name"):
        Beside.parse(text)


def test_splits_of_one_manifest_are_asked_for_leaks(tmp_path: Path) -> None:
    predictions, manifest = with_columns(tmp_path, split=np.where(np.arange(N) < N // 2, "train", "test"))
    table = pd.read_csv(manifest)
    table.loc[N - 1, "subject_id"] = "p3"
    table.to_csv(manifest, index=False)
    out = tmp_path / "report"
    arguments = [predictions, manifest, "-o", out, "--where", "split=test", "--trained-on", manifest]
    result = CliRunner().invoke(app, ["evaluate", *map(str, arguments), "--trained-where", "split=train"])
    assert result.exit_code == 0, result.stderr
    assert json.loads((out / METRICS).read_text())["conditions"]["covid19"]["leaks"] == ["p3"]
    with pytest.raises(errors.ManifestInvalid, match="shoe"):
        Known.of(Manifest.open(manifest), ["shoe=42"])
    with pytest.raises(errors.ManifestInvalid, match="no leak"):
        Known.of(Manifest.open(manifest), ["split=nowhere"])
    alone = CliRunner().invoke(app, ["evaluate", *map(str, arguments[:4]), "--trained-where", "split=train"])
    assert alone.exit_code == 2


def test_pairs_that_are_not_alike_rule_nothing_out(tmp_path: Path) -> None:
    condition = judged(tmp_path, audio=1.5)
    assert condition["verdict"]["level"] == "beyond_comparators"
    levels_alone = next(m for m in condition["matched"] if "levels" in m["on"])
    levels = next(b for b in levels_alone["balance"] if b["name"].startswith("level_"))
    levels["after"] = UNBALANCED + 0.1
    verdict = judge(condition)
    assert verdict.level == "not_beyond"
    assert any("not alike in" in sentence for sentence in verdict.sentences)


def test_what_the_sound_adds_is_said_where_it_is_not_better_alone(tmp_path: Path) -> None:
    condition = judged(tmp_path, audio=0.8, date=3.0)
    assert any("does add" in s and "date" in s for s in condition["verdict"]["sentences"])
    noise = judged(tmp_path / "noise", date=3.0)
    assert not any("does add" in s for s in noise["verdict"]["sentences"])


def test_both_texts_hold_every_table(tmp_path: Path) -> None:
    predictions, manifest = world(tmp_path / "in", audio=1.0)
    out = tmp_path / "report"
    assert (
        CliRunner().invoke(app, ["evaluate", str(predictions), str(manifest), "-o", str(out)]).exit_code == 0
    )
    for name in (PAGE, SUMMARY):
        text = (out / name).read_text()
        for words in (
            "revalence",
            "0.5 %",
            "et benefit",
            "standardised mean difference",
            "none is corrected",
        ):
            assert words in text, (name, words)
    metrics = json.loads((out / METRICS).read_text())["conditions"]["covid19"]["audio"]
    half = next(v for v in metrics["net_benefit"] if v["threshold"] == 0.5)["audio"]["value"]
    assert f"| 0.5 | {half:.3f} (" in (out / SUMMARY).read_text()
    assert f"<td>0.5</td><td>{half:.3f} (" in (out / PAGE).read_text()
    rare = metrics["predictive_values"][0]["ppv"]["value"]
    assert f"| 0.5 % | {rare:.3f} (" in (out / SUMMARY).read_text()
