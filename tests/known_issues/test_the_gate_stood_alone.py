"""The gate's AUROC had nothing beside it, the rate of an event of a single clip had no interval, and the
command said nothing of the gate.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
from typer.testing import CliRunner

from cough.cli import app
from cough.evaluation.report import METRICS, PAGE, SUMMARY
from tests.cough.evaluation.test_study import N, world


def test_a_gate_beside_what_needs_no_detector(tmp_path: Path) -> None:
    """Coughs are longer than the other sounds, from other sources, and the gate hears them badly."""
    predictions, manifest = world(tmp_path / "in")
    rng = np.random.default_rng(1)
    coughs = np.arange(N) % 3 > 0
    rows, table = pd.read_csv(manifest).drop(columns="covid_status"), pd.read_parquet(predictions)
    rows["event"] = np.where(coughs, "cough", "speech")
    rows.loc[0, "event"] = "handling_rustle"
    rows["source"] = rng.choice(["a", "b"], N)
    table["level_duration_s"] = rng.normal(size=N) + 3 * coughs
    table["cough_score"] = 1 / (1 + np.exp(-rng.normal(size=N) - coughs))
    table["n_events"] = (table["cough_score"] > 0.5).astype(int)
    rows.to_csv(manifest, index=False)
    table.to_parquet(predictions)
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["evaluate", str(predictions), str(manifest), "-o", str(out)])
    assert done.exit_code == 0, done.stderr
    gate = json.loads((out / METRICS).read_text())["gate"]
    beside = {one["name"]: one for one in gate["comparators"]}
    assert set(beside) == {"levels", "device and channel", "source", "all of these together"}
    assert beside["levels"]["auroc"]["low"] > 0.9
    assert beside["levels"]["audio_minus_this"]["high"] < 0
    assert beside["source"]["audio_minus_this"]["low"] > 0
    better = next(sentence for sentence in gate["words"] if "better" in sentence)
    assert "levels" in better
    said = [line for line in done.stdout.splitlines() if line.startswith("gate: ")]
    assert len(said) == 1
    assert better in said[0]
    for name in (PAGE, SUMMARY):
        text = (out / name).read_text()
        assert better in text
        assert "AUROC of levels alone" in text
    rates = [gate[kind] for kind in ("auprc", "expected_calibration_error", "sensitivity", "specificity")]
    rates += [gate["by_source"]["a"]["sensitivity"], gate["by_event"]["speech"]["called_cough"]]
    assert all(rate["low"] < rate["value"] < rate["high"] for rate in rates)
    assert gate["by_event"]["handling_rustle"] == {"n": 1, "called_cough": None}
    assert "| handling_rustle | 1 | too few |" in (out / SUMMARY).read_text()
