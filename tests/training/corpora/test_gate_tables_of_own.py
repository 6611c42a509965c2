"""``make ablation`` and ``make tiers``, from a prepared corpus to the page: the real commands, tiny."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.training.corpora.test_train_on_own import TINY, larger_esc50, with_teacher
from training.corpora.form import prepare
from training.stages import PROJECT


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A miniature with a teacher."""
    root = tmp_path_factory.mktemp("tables")
    prepare("esc50", larger_esc50(root / "raw", esc10=True), root / "plain")
    return with_teacher(root / "plain", root / "taught")


def run(module: str, corpus: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """A command of ``training`` with a tiny recipe."""
    config = corpus.parent / "tiny.toml"
    config.write_text("\n".join((*TINY, "gate.members=1")) + "\n")
    command = [
        sys.executable, "-m", module, "--config", str(config), "--corpus", str(corpus),
        "--cache", str(corpus.parent / "cache"), *options,
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=PROJECT)


def test_the_ablation_trains_its_variants_and_writes_their_page(corpus: Path, tmp_path: Path) -> None:
    """It asked the short gates for a key that it did not give, and ended before it began."""
    done = run("training.ablation", corpus, "--only", "full", "--only", "no rooms", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "ablation.json").read_text())
    assert [row["name"] for row in result["variants"]] == ["full", "no rooms"]
    assert all(0 <= row["auroc"] <= 1 for row in result["variants"])
    assert result["mn04"]["auroc"] == 1.0
    assert result["base"]["overrides"][0] == "gate.epochs=8"
    assert "| no rooms |" in (tmp_path / "ablation.md").read_text()
    assert "Not trained for this table: " in done.stdout


def test_the_tiers_are_trained_and_judged_beside_each_other(corpus: Path, tmp_path: Path) -> None:
    done = run("training.tiers", corpus, "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "tiers.json").read_text())
    tiers = result["tiers"]
    assert {tier["trained_on"] for tier in tiers.values()} == {120}
    assert not any(tier["shipped"] for tier in tiers.values())
    assert result["tests"]["fold_5"]["open"]["pooled"]["mn04"]["auroc"] == 1.0


@pytest.mark.parametrize("module", ["ablation", "tiers", "gate_report", "robustness", "soundscapes"])
def test_a_folder_that_is_no_corpus_is_named_in_a_line(module: str, tmp_path: Path) -> None:
    """They ended in a traceback."""
    command = [
        sys.executable, "-m", f"training.{module}", "--corpus", str(tmp_path), "--out", str(tmp_path / "out"),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=PROJECT)
    assert done.returncode == 1
    assert done.stderr.startswith("layout_unknown: ")
    assert len(done.stderr.splitlines()) == 1
