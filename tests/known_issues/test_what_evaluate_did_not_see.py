"""What ``cough evaluate`` passed over in silence, or ended in a traceback at."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from cough.cli import app
from cough.evaluation import resampling
from cough.evaluation.choices import Beside
from cough.evaluation.leaks import Known, straddling
from cough.evaluation.people import NOBODY, clusters
from cough.evaluation.report import METRICS, PAGE, SUMMARY
from cough.evaluation.study import evaluate
from cough.evaluation.table import columns_of, join, only
from cough.manifest import Manifest
from tests.cough.evaluation import test_study
from tests.cough.evaluation.test_study import comparator, world
from tests.known_issues.test_the_evaluation_could_be_fooled import altered

N = 120


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(test_study, "N", N)
    monkeypatch.setattr(resampling, "RESAMPLES", 60)


@pytest.mark.parametrize("yes", [True, 1, 1.0, "Yes", " TRUE"])
def test_a_conflict_of_labels_in_any_spelling(tmp_path: Path, yes: object) -> None:
    """pandas writes ``True``, which was no conflict."""
    conflict = [yes if i < 9 else "" for i in range(N)]
    predictions, path = altered(tmp_path, manifest={"label_conflict": conflict})
    manifest = Manifest.open(path)
    assert join(predictions, manifest).frame["label_covid19"].isna().sum() == 9
    claims = [label for row in manifest.rows() for label in row.labels if label.name == "covid19"]
    assert sum(claim.conflict for claim in claims) == 9


@pytest.mark.parametrize("nobody", ["n/a", "NA", "None", "Unknown", "nan", " - ", "NULL"])
def test_nobody_is_not_one_known_person(tmp_path: Path, nobody: str) -> None:
    names = [nobody if i < 60 else f"p{i}" for i in range(N)]
    predictions, path = altered(tmp_path, manifest={"subject_id": names, "pcm_sha256": nobody})
    manifest = Manifest.open(path)
    frame = join(predictions, manifest).frame
    assert frame["subject"].nunique() == N
    assert frame["subject"].str.startswith(NOBODY).sum() == 60
    known = Known.of(manifest)
    assert (len(known.subjects), known.sounds) == (N - 60, frozenset())


def test_a_manifest_with_a_column_and_another_of_its_stated_name(tmp_path: Path) -> None:
    said = {"band": "wide", "band_stated": "narrow", "codec": "opus"}
    predictions, path = altered(tmp_path, manifest=said)
    frame = join(predictions, Manifest.open(path)).frame
    assert frame.columns.is_unique
    assert set(frame["band"]) == {"wide", "telephone"}
    told = ["codec", "band", "band_stated", "band_stated_stated"]
    assert columns_of(frame, "device and channel") == told
    assert {*frame["band_stated"], *frame["band_stated_stated"]} == {"wide", "narrow"}


def test_numbers_that_no_model_takes_are_not_known(tmp_path: Path) -> None:
    cells = ["inf", "-inf", "1e300", *range(N - 3)]
    columns = ("age", "latitude", "longitude", "reported_cough_dur")
    predictions, path = altered(tmp_path, manifest=dict.fromkeys(columns, cells))
    condition = evaluate(join(predictions, Manifest.open(path)))["conditions"]["covid19"]
    assert set(columns[1:3]) == set(comparator(condition, "place")["columns"])


def without_low_scores_of_the_ill(folder: Path) -> tuple[Path, Path, Path]:
    """A score that is noise; a copy of its predictions without what the ill scored low; the manifest."""
    predictions, manifest = world(folder)
    table = pd.read_parquet(predictions)
    ill = pd.read_csv(manifest)["covid_status"].eq("positive")
    dropped = folder / "dropped.parquet"
    table[~(ill & table["covid19_probability"].lt(0.5))].to_parquet(dropped)
    return predictions, dropped, manifest


def test_whoever_leaves_failures_out_is_not_judged_by_the_rest(tmp_path: Path) -> None:
    whole, dropped, path = without_low_scores_of_the_ill(tmp_path)
    manifest = Manifest.open(path)
    table = join(dropped, manifest)
    metrics = evaluate(table)
    condition = metrics["conditions"]["covid19"]
    missing = N - len(pd.read_parquet(dropped))
    assert metrics["errors"] == {"no_prediction": missing}
    assert condition["n_labelled"] == N
    assert condition["n_without_prediction"] == missing
    assert condition["audio"]["auroc"]["low"] > 0.5
    assert condition["not_measured"]["positive"] > 0.3
    assert condition["verdict"]["level"] == "not_beyond"
    assert any(f"leave out {missing} of {N}" in said for said in condition["verdict"]["sentences"])
    compared = evaluate(join(whole, manifest), other=pd.read_parquet(dropped))["conditions"]["covid19"]
    assert compared["compared"]["not_measured"]["positive"] == condition["not_measured"]["positive"]
    assert any("other model did not measure" in said for said in compared["verdict"]["sentences"])


def test_rows_that_were_not_chosen_are_not_missed(tmp_path: Path) -> None:
    predictions, path = altered(tmp_path, manifest={"split": ["test"] * 9 + ["train"] * (N - 9)})
    table = pd.read_parquet(predictions)
    table[:8][::-1].to_parquet(predictions)
    chosen = only(join(predictions, Manifest.open(path)), ["split=test"]).frame
    assert list(chosen["recording_id"]) == list(table["recording_id"][:9])
    assert list(chosen["error_code"].notna()) == [False] * 8 + [True]


def test_a_condition_is_judged_by_coughs_alone(tmp_path: Path) -> None:
    """The vowels and the speech of the same people were judged with their coughs."""
    sounds = [
        ["cough", "Cough ", "unlabelled", "", "n/a", "vowel", "speech", "Breathing"][i % 8] for i in range(N)
    ]
    predictions, path = altered(tmp_path, manifest={"event": sounds})
    condition = evaluate(join(predictions, Manifest.open(path)))["conditions"]["covid19"]
    assert condition["n_labelled"] == condition["n_measured"] == N * 5 // 8
    assert condition["n_other_sounds"] == N * 3 // 8
    assert any("45 labelled recordings of other sounds" in s for s in condition["verdict"]["sentences"])
    pd.read_csv(path).assign(event="vowel").to_csv(path, index=False)
    told = CliRunner().invoke(app, ["evaluate", str(predictions), str(path), "-o", str(tmp_path / "out")])
    assert told.exit_code == 0, told.stderr
    for text in (told.stdout, *((tmp_path / "out" / name).read_text() for name in (PAGE, SUMMARY))):
        assert f"{N} labelled recordings of other sounds" in text


def test_labels_that_are_no_class_are_counted(tmp_path: Path) -> None:
    """They left in silence, and a conflicting label with them; of three classes nobody was told which."""
    words = [["positive", "negative", "recovered", "N/A", " Negative "][i % 5] for i in range(N)]
    predictions, path = altered(
        tmp_path, manifest={"covid_status": words, "label_conflict": ["1", *"0" * (N - 1)]}
    )
    frame = pd.read_parquet(predictions)
    classes = [["negative", "positive", "other"]] * N
    frame.assign(covid19_classes=classes).to_parquet(predictions)
    condition = evaluate(join(predictions, Manifest.open(path)))["conditions"]["covid19"]
    assert condition["unused_labels"] == {"recovered": N // 5, "positive": 1}
    assert condition["n_labelled"] == N * 3 // 5 - 1
    told = CliRunner().invoke(app, ["evaluate", str(predictions), str(path), "-o", str(tmp_path / "out")])
    assert told.exit_code == 0, told.stderr
    for text in (told.stdout, (tmp_path / "out" / SUMMARY).read_text()):
        flat = " ".join(text.split())
        assert f"{N // 5 + 1} recordings are left out whose label is no class here" in flat
        assert f"'recovered' ({N // 5}) and 'positive' (1)" in flat
        assert "Of its 3 classes every figure is of negative against all others together." in flat
    assert "covid19: share of calls that are right" in (tmp_path / "out" / PAGE).read_text()


@pytest.mark.parametrize(
    ("event", "kind", "reason"),
    [("Cough", "sensitivity", "nothing to tell them from"), ("speech", "specificity", "one of coughs")],
)
def test_a_gate_beside_one_kind_of_sound(tmp_path: Path, event: str, kind: str, reason: str) -> None:
    """Where all were coughs there was no word on the gate; "Cough" was another sound than "cough"."""
    found = np.arange(N) % 4 > 0
    predictions, path = altered(
        tmp_path,
        manifest={"event": event, "source": np.where(np.arange(N) % 2, "a", "b")},
        predictions={"n_events": found.astype(int)},
    )
    pd.read_csv(path).drop(columns="covid_status").to_csv(path, index=False)
    told = CliRunner().invoke(app, ["evaluate", str(predictions), str(path), "-o", str(tmp_path / "out")])
    assert told.exit_code == 0, told.stderr
    gate = json.loads((tmp_path / "out" / METRICS).read_text())["gate"]
    called = found if kind == "sensitivity" else ~found
    assert gate[kind]["value"] == called.mean()
    assert gate["by_source"]["a"][kind]["value"] == called[1::2].mean()
    assert gate["by_event"][event.lower()]["called_cough"]["value"] == found.mean()
    assert (gate["auroc"], gate["n_without_prediction"]) == (None, 0)
    assert reason in gate["no_auroc"]
    assert f"{called.mean():.1%}" in told.stdout
    for text in (told.stdout, *((tmp_path / "out" / name).read_text() for name in (PAGE, SUMMARY))):
        assert gate["no_auroc"] in text


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"manifest": {"event": "unlabelled"}}, "of no recording what it holds"),
        ({"predictions": {"error_code": "truncated", "cough_score": None}}, f"None of the {N} recordings"),
    ],
)
def test_why_there_is_no_gate_is_said(
    tmp_path: Path, changes: dict[str, dict[str, object]], reason: str
) -> None:
    predictions, path = altered(tmp_path, **changes)
    pd.read_csv(path).drop(columns="covid_status").to_csv(path, index=False)
    told = CliRunner().invoke(app, ["evaluate", str(predictions), str(path), "-o", str(tmp_path / "out")])
    assert told.exit_code == 0, told.stderr
    for text in (told.stdout, *((tmp_path / "out" / name).read_text() for name in (PAGE, SUMMARY))):
        assert reason in text


def in_train_and_test(folder: Path, kept: str) -> tuple[Path, Path]:
    """Two people, groups or sounds with four recordings each, the first of which is in train."""
    names = [f"a{i // 4 if i < 8 else i}" for i in range(N)]
    split = np.where(np.arange(N) % 4 == 0, "train", "test")
    return altered(folder, manifest={"split": split, "fold": "", kept: names}, audio=2.0)


@pytest.mark.parametrize("kept", ["subject_id", "group_id", "pcm_sha256"])
def test_whoever_stands_in_two_splits_is_found(tmp_path: Path, kept: str) -> None:
    """Half of the people were in train and test of one manifest, and nobody was warned."""
    predictions, path = in_train_and_test(tmp_path, kept)
    table = join(predictions, Manifest.open(path))
    for rows, n in ((table.frame, 8), (only(table, ["split=test"]).frame, 6)):
        assert list(np.flatnonzero(straddling(rows, None))) == list(range(n))


def test_whoever_stands_in_two_splits_is_a_leak(tmp_path: Path) -> None:
    predictions, path = in_train_and_test(tmp_path / "in", "subject_id")
    event = np.where(np.arange(N) % 2, "cough", "speech")
    pd.read_csv(path).assign(event=event).to_csv(path, index=False)
    arguments = ["evaluate", str(predictions), str(path), "-o", str(tmp_path / "out")]
    told = CliRunner().invoke(app, [*arguments, "--where", "split=test"])
    assert told.exit_code == 0, told.stderr
    metrics, *texts = ((tmp_path / "out" / name).read_text() for name in (METRICS, PAGE, SUMMARY))
    condition, gate = json.loads(metrics)["conditions"]["covid19"], json.loads(metrics)["gate"]
    assert condition["verdict"]["level"] == "leak"
    assert condition["in_two_splits"] == ["a0", "a1"]
    assert gate["n_in_two_splits"] == 6
    assert gate["red"] == gate["words"][:1]
    assert f"<strong>{gate['red'][0]}" in texts[0]
    assert f"**{gate['red'][0]}**" in texts[1]


def test_splits_that_share_nobody_are_clean(tmp_path: Path) -> None:
    groups = [f"g{i // 4}" for i in range(N)]
    manifest = {"subject_id": "unknown", "group_id": groups, "fold": [i // 4 % 5 + 1 for i in range(N)]}
    predictions, path = altered(tmp_path, manifest=manifest)
    rows = join(predictions, Manifest.open(path)).frame
    assert not rows["in_two_splits"].any()


def test_whoever_is_told_to_be_trained_on_is_believed(tmp_path: Path) -> None:
    predictions, path = altered(tmp_path, manifest={"subject_id": [f"p{i // 2}" for i in range(N)]})
    rows = join(predictions, Manifest.open(path)).frame
    assert straddling(rows, None).any()
    assert not straddling(rows, Known(frozenset({"q"}))).any()


def test_two_names_of_one_sound_are_one_person() -> None:
    rows = pd.DataFrame({"subject": list("abcdda"), "pcm_sha256": ["x", "x", "y", "z", "y", ""]})
    assert list(clusters(rows)) == ["a", "a", "c", "c", "c", "a"]
    assert list(clusters(rows.assign(pcm_sha256=""))) == list(rows["subject"])


def test_a_column_that_tells_the_label_and_stands_nowhere_is_named(tmp_path: Path) -> None:
    """The hospital told the label, no comparator knew a column of that name, and the verdict was "beyond"."""
    ill = pd.read_csv(world(tmp_path / "a")[1])["covid_status"].eq("positive")
    columns = {
        "hospital": np.where(ill, "ward", ""),
        "weekday": np.arange(N) % 7,
        "original": np.where(ill, "x", "y"),
        "visit": np.where(ill, 1000, 2000) + np.arange(N),
    }
    predictions, path = altered(tmp_path / "b", manifest=columns)
    manifest = Manifest.open(path)
    condition = evaluate(join(predictions, manifest))["conditions"]["covid19"]
    # Numbers that nobody shares tell it by their rank: files were numbered hospital by hospital.
    assert {one["column"] for one in condition["not_beside"]} == {"hospital", "visit"}
    assert any("hospital (1.00)" in s and "--beside" in s for s in condition["verdict"]["sentences"])
    beside = join(predictions, manifest, beside=[Beside.parse("ward=hospital")])
    named = evaluate(beside)["conditions"]["covid19"]["not_beside"]
    assert [one["column"] for one in named] == ["visit"]


def test_coughs_that_the_predictions_leave_out_are_missed_by_the_gate(tmp_path: Path) -> None:
    predictions, path = world(tmp_path)
    pd.read_csv(path).drop(columns="covid_status").to_csv(path, index=False)
    pd.read_parquet(predictions)[: N // 2].to_parquet(predictions)
    gate = evaluate(join(predictions, Manifest.open(path)))["gate"]
    assert gate["not_measured"] == {"positive": 0.5, "negative": None, "selects": True}
    said = " ".join(gate["words"])
    assert f"leave out {N // 2} of {N} labelled" in said
    assert "Not measured were 50% of the coughs:" in said
