"""What a report let pass: who was not measured, columns that hid others, dates and ages that were lost."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from cough import errors
from cough.cli import app
from cough.evaluation.choices import LabelColumn
from cough.evaluation.report import METRICS, PAGE, SUMMARY, write_report
from cough.evaluation.study import evaluate
from cough.evaluation.table import features, join, only, read_predictions
from cough.manifest import Manifest
from tests.cough.evaluation.test_study import N, world


def altered(
    folder: Path, *, manifest: dict[str, Any] | None = None, predictions: dict[str, Any] | None = None,
    **kinds: float,
) -> tuple[Path, Path]:  # fmt: skip
    """A ``world`` with columns set."""
    files = world(folder, **kinds)
    table, facts = pd.read_parquet(files[0]), pd.read_csv(files[1])
    table.assign(**(predictions or {})).to_parquet(files[0])
    facts.assign(**(manifest or {})).to_csv(files[1], index=False)
    return files


def judged(files: tuple[Path, Path]) -> dict[str, Any]:
    found: dict[str, Any] = evaluate(join(files[0], Manifest.open(files[1])))["conditions"]["covid19"]
    return found


def labels(folder: Path) -> np.ndarray:
    return (pd.read_csv(world(folder)[1])["covid_status"] == "positive").to_numpy()


def test_noise_that_only_sure_positives_are_left_of(tmp_path: Path) -> None:
    files = world(tmp_path)
    table = pd.read_parquet(files[0])
    ill = labels(tmp_path)
    table.loc[ill & (table["covid19_probability"] < 0.7), "covid19_probability"] = None
    table.to_parquet(files[0])
    condition = judged(files)
    assert condition["audio"]["auroc"]["low"] > 0.5
    assert condition["verdict"]["level"] != "beyond_comparators"
    assert any("Not measured were" in sentence for sentence in condition["verdict"]["sentences"])


def test_people_whom_nobody_knows_are_said_and_cap_the_verdict(tmp_path: Path) -> None:
    files = altered(tmp_path, audio=1.5, manifest={"subject_id": "unknown"})
    assert judged(files)["verdict"]["level"] == "subjects_unknown"


def test_what_the_manifest_says_is_not_hidden_by_the_predictions(tmp_path: Path) -> None:
    ill = labels(tmp_path / "a")
    files = altered(
        tmp_path / "b", manifest={"codec": np.where(ill, "opus", "aac")}, predictions={"codec": "pcm_s16le"}
    )
    table = join(files[0], Manifest.open(files[1]))
    channel = features(table.frame, "device and channel")
    assert channel is not None
    assert "codec_stated" in channel
    for name in ("label_covid19", "said_covid19", "subject", "split"):
        wrong = altered(tmp_path / name, predictions={name: 1.0})
        with pytest.raises(errors.PredictionsInvalid, match=name):
            join(wrong[0], Manifest.open(wrong[1]))


def test_a_blank_column_of_dates_and_ages_in_bands(tmp_path: Path) -> None:
    ill = labels(tmp_path / "a")
    files = altered(
        tmp_path / "b",
        manifest={
            "date": "",
            "record_date": np.where(ill, "2021-01-01", "2020-04-01"),
            "age": np.where(ill, "60-69", "20-29"),
        },
    )
    frame = join(files[0], Manifest.open(files[1])).frame
    assert frame["date_days"].nunique() == 2
    known = features(frame, "age and sex")
    assert known is not None
    assert "age_band" in known


def test_cells_as_pandas_writes_them(tmp_path: Path) -> None:
    ill = labels(tmp_path / "a")
    files = altered(
        tmp_path / "b",
        manifest={"covid_status": ill.astype(float), "label_conflict": np.where(np.arange(N) < 9, 1.0, 0.0)},
    )
    table = join(files[0], Manifest.open(files[1]))
    assert table.frame["label_covid19"].isna().sum() == 9
    age = table.frame["age"].iloc[0]
    assert set(only(table, [f"age={age:.0f}"]).frame["age"]) == {age}


@pytest.mark.parametrize(
    "wrong",
    [{"n_events": "one"}, {"level_rms_db": np.inf}, {"in_training": "true"}],
    ids=["words for numbers", "infinite", "words for truth"],
)
def test_foreign_columns_are_refused_by_name(tmp_path: Path, wrong: dict[str, Any]) -> None:
    files = altered(tmp_path, predictions=wrong)
    with pytest.raises(errors.PredictionsInvalid, match=next(iter(wrong))):
        read_predictions(files[0])


def test_a_class_of_several_words(tmp_path: Path) -> None:
    """COUGHVID's "healthy" and "symptomatic" against "COVID-19"."""
    ill = labels(tmp_path / "a")
    said = np.where(ill, "COVID-19", np.where(np.arange(N) % 2, "healthy", "symptomatic"))
    files = altered(tmp_path / "b", manifest={"said": said})
    label = LabelColumn.parse("covid19=said:healthy|symptomatic,COVID-19")
    frame = join(files[0], Manifest.open(files[1]), labels=[label]).frame
    assert frame["label_covid19"].eq(ill).all()


def test_ids_may_be_numbers(tmp_path: Path) -> None:
    files = altered(
        tmp_path, manifest={"recording_id": np.arange(N)}, predictions={"recording_id": np.arange(N)}
    )
    assert len(join(files[0], Manifest.open(files[1])).frame) == N


def test_a_report_takes_the_place_of_a_report_in_any_folder(tmp_path: Path) -> None:
    """A mounted folder cannot be removed, only filled; a link to one leads there."""
    metrics = evaluate(join(*(lambda files: (files[0], Manifest.open(files[1])))(world(tmp_path / "w"))))
    out = tmp_path / "real"
    out.mkdir()
    (out / PAGE).write_text("old")
    inode = out.stat().st_ino
    link = tmp_path / "link"
    link.symlink_to(out)
    write_report(metrics, link, title="caf\udce9")
    assert out.stat().st_ino == inode
    assert sorted(p.name for p in out.iterdir()) == sorted((PAGE, SUMMARY, METRICS))
    assert (out / PAGE).read_text(encoding="utf-8") != "old"


def test_the_gate_is_asked_whom_it_was_trained_on(tmp_path: Path) -> None:
    files = altered(tmp_path / "w", manifest={"event": np.where(np.arange(N) % 2, "cough", "speech")})
    arguments = ["evaluate", str(files[0]), str(files[1]), "--trained-on", str(files[1]), "--json"]
    done = CliRunner().invoke(app, [*arguments, "-o", str(tmp_path / "report")])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["gate"]["n_in_training"] == N


def test_too_few_is_a_verdict_too(tmp_path: Path) -> None:
    files = altered(tmp_path / "w", manifest={"covid_status": "positive"})
    done = CliRunner().invoke(app, ["evaluate", *map(os.fspath, files), "-o", str(tmp_path / "report")])
    assert done.exit_code == 0, done.output
    assert "too few" in (tmp_path / "report" / SUMMARY).read_text().split("Research only")[0]
