"""The short gates never hear what they score, and are trained anew only when what decides them changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.conftest import recording
from training.config import TrainingConfig, read_config
from training.corpus import Corpus
from training.loso import Job, rows_without
from training.parts import deal
from training.pipeline import loso_jobs
from training.stages import PROJECT


@pytest.mark.parametrize(
    ("override", "anew"),
    [
        ("encoder.width=8", False),
        ("gate.target_sensitivity=0.9", False),
        ("gate.warm_start=false", False),
        ("loso.processes=1", False),
        ('tracker="mlflow"', False),
        ("gate.width=8", True),
        ("augment.mix_probability=0.1", True),
        ("seed=3", True),
    ],
)
def test_kept_unless_what_decides_them_changed(override: str, anew: bool) -> None:
    recipe = PROJECT / "training" / "default.toml"

    def folder(config: TrainingConfig) -> Path:
        return Job(0, config, (), Path("waves"), Path("cache"), {"source": "0"}).folder

    changed = folder(read_config(recipe, [override])) != folder(read_config(recipe))
    assert changed == anew


def test_what_a_short_gate_scores_shares_no_source_and_no_original_with_what_it_learns() -> None:
    events = ["cough", "speech"] * 30
    recordings = [
        recording(f"{source}{i}", event, source=source, group_id="cut twice" if i == 1 else f"{source}{i}")
        for source in ("one", "two", "three")
        for i, event in enumerate(events)
    ]
    corpus = Corpus(root=None, recordings=tuple(recordings))  # type: ignore[arg-type]
    config = TrainingConfig()
    scored_by_any = []
    for part in range(deal(corpus, config).n_parts):
        training, scored = ([recordings[row] for row in rows] for rows in rows_without(corpus, config, part))
        assert not {r.source for r in training} & {r.source for r in scored}
        assert not {r.group_id for r in training} & {r.group_id for r in scored}
        assert len(training) == len(recordings) - len(scored) - 2  # "cut twice" in both others
        scored_by_any += [r.recording_id for r in scored]
    assert sorted(scored_by_any) == sorted(r.recording_id for r in recordings)


def test_short_gates_are_trained_as_their_section_says() -> None:
    recordings = [
        recording(f"{source}{i}", ("cough", "speech")[i % 2], source=source, group_id=f"{source}{i}")
        for source in ("one", "two", "three")
        for i in range(60)
    ]
    corpus = Corpus(root=None, recordings=tuple(recordings))  # type: ignore[arg-type]
    config = read_config(PROJECT / "training" / "default.toml", ["loso.epochs=3", "loso.members=2"])
    shared = dict.fromkeys(("labels", "teacher", "waves", "libraries", "device"), "")
    jobs = loso_jobs(corpus, (), Path("waves"), Path("cache"), config, shared)
    assert [job.part for job in jobs] == list(range(deal(corpus, config).n_parts))
    assert {(job.config.gate.epochs, job.config.gate.members) for job in jobs} == {(3, 2)}
