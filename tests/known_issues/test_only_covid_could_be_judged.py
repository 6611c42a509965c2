"""Any other condition of a bundle was "not judged": its label was looked for in no column, and only the word
"positive" counted as an answer. The interval of the specificity at 90 % sensitivity held the threshold that
the same rows had chosen; what no cell said and what the answers said had no intervals at all.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from cough import errors
from cough.cli import app
from cough.evaluation.choices import LabelColumn
from cough.evaluation.metrics import specificity_at_sensitivity
from cough.evaluation.resampling import interval
from cough.evaluation.study import evaluate
from cough.evaluation.table import join
from cough.manifest import Manifest
from tests.cough.evaluation.test_study import world

N = 80


def tuberculosis(folder: Path, *, named: bool = True) -> tuple[Path, Path]:
    """The constructed world with its condition by other names; every fourth answer abstains."""
    predictions, manifest = world(folder, audio=1.5)
    rows, table = pd.read_csv(manifest)[:N], pd.read_parquet(predictions)[:N]
    table = table.rename(columns=lambda c: c.replace("covid19", "tb"))
    words = np.where(table["tb_probability"] >= 0.5, "active", "clear")
    table["tb_answer"] = np.where(np.arange(N) % 4, words, "inconclusive")
    if named:
        table["tb_classes"] = [["clear", "active"]] * N
    said = rows.pop("covid_status").map({"positive": "Active", "negative": "clear"})
    rows["tb_status"] = said.where(np.arange(N) != 7, "not tested")
    rows.to_csv(manifest, index=False)
    table.to_parquet(predictions)
    return predictions, manifest


def test_a_condition_of_other_words_is_judged(tmp_path: Path) -> None:
    predictions, manifest = tuberculosis(tmp_path)
    table = join(predictions, Manifest.open(manifest))
    assert table.conditions == {"tb": "tb_status"}
    assert np.isnan(table.frame["label_tb"][7])
    judged = evaluate(table)["conditions"]["tb"]
    rows = table.frame.drop(7)
    y, p, who = (rows[c].to_numpy() for c in ("label_tb", "tb_probability", "subject"))
    assert judged["label_column"] == "tb_status"
    assert judged["n_positive"] == int((rows["tb_status"] == "Active").sum())
    audio = judged["audio"]
    said = rows["tb_answer"].to_numpy()
    answered = said != "inconclusive"
    right = (said == "active") == (y == 1)
    assert audio["answered"]["value"] == pytest.approx(answered.mean())
    assert audio["accuracy_of_answers"]["value"] == pytest.approx(right[answered].mean())
    found = audio["operating_points"]
    ill = answered & (y == 1)
    assert found["of_answers"]["sensitivity"]["value"] == pytest.approx(right[ill].mean())
    again = interval(lambda r: specificity_at_sensitivity(y[r], p[r], target=0.9), who)
    assert found["at_90_sensitivity"]["specificity"] == pytest.approx(again)
    figures = [audio["brier"], audio["accuracy_of_answers"], audio["net_benefit"][9]["audio"]]
    figures += [audio["predictive_values"][3][kind] for kind in ("ppv", "npv")]
    assert all(figure["low"] < figure["value"] < figure["high"] for figure in figures)


def test_the_caller_names_column_and_words(tmp_path: Path) -> None:
    predictions, path = tuberculosis(tmp_path, named=False)
    pd.read_csv(path).rename(columns={"tb_status": "asthma"}).to_csv(path, index=False)
    manifest = Manifest.open(path)
    assert join(predictions, manifest).unlabelled == ("tb",)
    with pytest.raises(errors.ManifestInvalid, match="No cell of asthma"):
        join(predictions, manifest, labels=[LabelColumn.parse("tb=asthma")])
    with pytest.raises(errors.PredictionsInvalid, match="'active'"):
        join(predictions, manifest, labels=[LabelColumn.parse("tb=asthma:clear,ill,active?")])
    table = join(predictions, manifest, labels=[LabelColumn.parse("tb=asthma:clear,active")])
    assert table.frame["label_tb"].notna().sum() == N - 1
    # "asthma" is also a symptom that a comparator reads: no label beside itself.
    assert "symptoms" in evaluate(table)["conditions"]["tb"]["absent"]


@pytest.mark.parametrize(
    ("label", "code", "told"),
    [
        ("tb=tb_sttus", 2, "manifest_invalid: The manifest has no column tb_sttus."),
        ("flu=tb_status", 1, "predictions_invalid: The predictions have no condition flu: tb."),
        ("tb", 2, "NAME=COLUMN"),
        ("tb=tb_status:clear", 2, "NAME=COLUMN"),
    ],
)
def test_what_is_not_there_is_said(tmp_path: Path, label: str, code: int, told: str) -> None:
    predictions, manifest = tuberculosis(tmp_path)
    arguments = ["evaluate", str(predictions), str(manifest), "-o", str(tmp_path / "out"), "--label", label]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == code
    assert told in result.stderr
    assert not (tmp_path / "out").exists()
