"""Two processes train what one trains."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from training import distributed
from training.config import TrainingConfig
from training.stages import PROJECT
from training.tracking import Tracker


def run(*command: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *command], env=environment, cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_two_gloo_processes_give_the_weights_of_one(tmp_path: Path) -> None:
    one, two = tmp_path / "one.npz", tmp_path / "two.npz"
    run("-m", "tests.training.train_tiny", str(one))
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    run(*torchrun, "-m", "tests.training.train_tiny", str(two))
    with np.load(one) as alone, np.load(two) as together:
        assert set(alone.files) == set(together.files)
        for name in ("gate output", "encoder output"):
            learnt = np.abs(alone[name] - alone[f"{name} untrained"]).max()
            apart = np.abs(together[name] - alone[name]).max()
            assert apart < 0.05 * learnt, (name, apart, learnt)
        names = [name for name in alone.files if name.endswith("weight")]
        between = np.concatenate([np.abs(together[name] - alone[name]).ravel() for name in names])
        # Adam steps a full step even where the gradient is nothing but rounding.
        assert np.median(between) < 1e-3


def test_alone_nothing_is_shared_or_changed() -> None:
    x = torch.randn(6, 2)
    assert distributed.share(x) is x
    assert distributed.gather(x) is x
    assert distributed.agreed(True) and not distributed.agreed(False)
    norm = torch.nn.Sequential(torch.nn.BatchNorm1d(2))
    distributed.share_norms(norm)
    assert type(norm[0]) is torch.nn.BatchNorm1d


def test_epochs_are_json_lines(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    with Tracker(TrainingConfig(), "gate", log) as tracker:
        tracker.epoch(0, seconds=1.5, clip=0.25)
        tracker.epoch(1, seconds=1.25, clip=0.125)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert lines == [
        {"epoch": 0, "seconds": 1.5, "clip": 0.25},
        {"epoch": 1, "seconds": 1.25, "clip": 0.125},
    ]


MLFLOW = """
import sys
from pathlib import Path
from training.config import TrainingConfig
from training.tracking import Tracker
config = TrainingConfig(tracker="mlflow")
with Tracker(config, "encoder", None) as tracker:
    for epoch in range(3):
        tracker.epoch(epoch, loss=1.0 / (1 + epoch))
import mlflow
(run,) = mlflow.search_runs(output_format="list")
assert run.info.status == "FINISHED", run.info.status
assert run.data.params["width"] == str(config.encoder.width)
history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss")
assert [point.value for point in history] == [1.0, 0.5, 1 / 3], history
"""


def test_mlflow_gets_the_same_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow", reason="pip install '.[tracking]'")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "runs").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    run("-c", MLFLOW)
