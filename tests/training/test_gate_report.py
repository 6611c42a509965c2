"""The report, end to end: a tiny corpus of synthetic sounds on disk, the shipped gate, every output."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from cough.bundle import Bundle
from cough.gate import CoughGate
from tests.training.test_gate_table import recording
from training import synth
from training.benchmark import TEST_FOLD, fold_rows, score_clips
from training.corpus import Corpus, Teacher
from training.gate_figures import FIGURES
from training.gate_report import report

CLIPS = ("cough", "cough", "cough", "sneeze", "speech", "music", "unlabelled")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Two bouts of coughs, a "cough" that is silence, noises, and a clip that nobody labelled."""
    root = tmp_path_factory.mktemp("corpus")
    random = np.random.default_rng(3)
    (root / "recordings.csv").write_text("stands for the labels in the data hash\n")
    recordings = []
    for i, event in enumerate(CLIPS):
        samples = 0.05 * random.standard_normal(16_000)
        if event == "cough":
            samples = np.zeros(16_000) if i == 2 else synth.cough_bout(random, coughs=2, duration_s=3.0)
        soundfile.write(root / f"{i}.wav", samples, 16_000, subtype="PCM_16")
        made = recording(i, event, "phones", f"group {i}")
        recordings.append(replace(made, path=f"{i}.wav"))
    return Corpus(root, tuple(recordings))


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    rows = np.arange(len(CLIPS))
    logits = np.linspace(2, -9, len(rows)).astype(np.float16)[:, None]
    return Teacher(("Cough",), rows, 0.0 * rows, logits, rows[:0], rows[:0], logits[:0], "teacher")


def test_rows_are_labelled(corpus: Corpus) -> None:
    assert fold_rows(corpus, TEST_FOLD).tolist() == [0, 1, 2, 3, 4, 5]


def test_scores_are_those_of_the_flow(corpus: Corpus, bundle: Bundle) -> None:
    scored = score_clips(corpus, CoughGate(bundle), np.array([0, 2, 4]))
    scores = scored.scores
    assert scores[0] > scores[2] >= scores[1] == 0.0
    assert set(scored.bands) <= {"telephone", "wide", "none: silence"}
    assert scored.silent.tolist() == [False, True, False]


def test_report_writes_everything(corpus: Corpus, teacher: Teacher, bundle: Bundle, tmp_path: Path) -> None:
    out, worst = tmp_path / "out", tmp_path / "worst"
    report(corpus, teacher, bundle, out=out, worst=worst)
    result = json.loads((out / "fold_5.json").read_text())
    assert result["bundle_id"] == bundle.spec.bundle_id
    assert result["data_hash"] == corpus.data_hash
    assert {"code_version", "teacher_sha256", "bundle_sha256"} <= set(result)
    assert result["silent_coughs"] == 1
    assert result["table"]["pooled"]["coughs"] == 3
    assert result["without_silent_coughs"]["pooled"]["coughs"] == 2
    page = (out / "fold_5.md").read_text()
    assert bundle.spec.bundle_id in page
    for name in FIGURES:
        assert f"({name}.png)" in page
        assert 1_000 < (out / f"{name}.png").stat().st_size < 150_000
    listed = json.loads((worst / "worst.json").read_text())
    assert listed["false_rejects"][0]["recording_id"] == "r2"  # the silence
    assert (worst / "false_rejects.png").exists()
    assert (worst / "false_accepts.png").exists()


def test_the_same_twice(corpus: Corpus, teacher: Teacher, bundle: Bundle, tmp_path: Path) -> None:
    for name in ("a", "b"):
        report(corpus, teacher, bundle, out=tmp_path / name, worst=tmp_path / "worst")
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
