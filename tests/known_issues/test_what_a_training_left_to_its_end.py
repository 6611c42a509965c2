"""Hours of training ended in what could have been said before; reports failed where there was no teacher; a
bundle's place was emptied of what was not the bundle's.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from cough import errors
from cough.bundle import DEFAULT_BUNDLE, Bundle, load_bundle
from cough.heard import HEARD
from tests.training.test_condition import CONFIG, made
from training import stages
from training.assemble import unfolded
from training.card import write_bundle
from training.config import TrainingConfig
from training.corpus import Corpus, Recording
from training.diagnosis import train_condition
from training.honest_table import blocks
from training.joined import read_corpora
from training.loso import Job
from training.parts import deal
from training.pipeline import train


def corpus_of(n_people: int) -> Corpus:
    """One source, ten coughs and ten others of each person."""
    fields = {field.name: field for field in dataclasses.fields(Recording)}
    blank = dict.fromkeys(fields, "")
    recordings = []
    for person in range(n_people):
        for k in range(20):
            facts = {
                **blank, "recording_id": f"{person}_{k}", "path": f"{person}_{k}.wav", "duration_s": 1.0,
                "event": "cough" if k % 2 else "speech", "source": "own", "group_id": f"person {person}",
                "fold": 1 + person % 4, "licence": "CC0", "licence_class": "open",
            }  # fmt: skip
            recordings.append(Recording(**{name: facts[name] for name in fields}))
    return Corpus(Path("nowhere"), tuple(recordings))


@pytest.mark.parametrize("n_people", [3, 4, 6, 40])
def test_no_part_is_empty(n_people: int) -> None:
    """The gate without an empty part was trained, and had nothing to score."""
    corpus = corpus_of(n_people)
    dealt = deal(corpus, TrainingConfig())
    assert sorted(set(dealt.part.tolist())) == list(range(dealt.n_parts))
    assert 2 <= dealt.n_parts <= 4


@pytest.mark.parametrize(
    "wrong", [{"test_fold": 4, "train_folds": (1, 2, 3)}, {"gate": {"crop_s": 0.5}}, {"train_folds": ()}]
)
def test_configs_that_can_only_fail_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TrainingConfig.model_validate(wrong)


def test_an_encoder_of_another_size_is_not_kept(tmp_path: Path, bundle: Bundle) -> None:
    """Said after the gate was trained; nothing is read or written here."""
    config = TrainingConfig()
    assert unfolded(bundle, config).project.out_features == config.encoder.embedding_size
    other = config.model_copy(update={"encoder": config.encoder.model_copy(update={"embedding_size": 256})})
    with pytest.raises(errors.BundleIncompatible, match="gives 384 numbers"):
        train(
            other,
            corpus_roots=(tmp_path,),
            cache=tmp_path / "c",
            out=tmp_path / "o",
            keep_encoder=DEFAULT_BUNDLE,
        )
    assert list(tmp_path.iterdir()) == []
    foreign = dataclasses.replace(
        bundle, contents={**bundle.contents, "encoder.onnx": bundle.contents["gate.onnx"]}
    )
    with pytest.raises(errors.BundleIncompatible, match="cannot be kept"):
        unfolded(foreign, config)


def test_what_runs_apart_is_made_by_the_code_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was edited meanwhile was trained with, and kept under the hash of what had been there."""
    job = Job(0, TrainingConfig(), (tmp_path,), tmp_path, tmp_path / "cache", {})
    monkeypatch.setattr(stages, "_AS_IMPORTED", {**stages._AS_IMPORTED, "training.gate": b"as it was"})
    with pytest.raises(stages.CodeChanged):
        stages.run_all([job], processes=1)
    assert not (tmp_path / "cache").exists()


def test_nothing_but_a_bundle_is_replaced(tmp_path: Path, bundle: Bundle) -> None:
    """A link ended the run after hours; notes beside a bundle went with it."""
    there = Path(shutil.copytree(DEFAULT_BUNDLE, tmp_path / "there"))
    link = tmp_path / "latest"
    link.symlink_to(there)
    write_bundle(bundle, link)
    assert link.is_symlink()
    assert load_bundle(link).spec.bundle_id == bundle.spec.bundle_id
    (there / "notes.txt").write_text("mine")
    with pytest.raises(errors.OutputUnwritable, match=r"notes\.txt"):
        write_bundle(bundle, there)
    assert (there / "notes.txt").read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {"there", "latest"}


@pytest.mark.parametrize("what", ["file", "short line"])
def test_what_is_no_corpus_is_said_to_be_none(tmp_path: Path, what: str) -> None:
    (tmp_path / "recordings.csv").write_text("recording_id,path,duration_s\na\n")
    with pytest.raises(errors.LayoutUnknown):
        read_corpora((tmp_path / "recordings.csv" if what == "file" else tmp_path,))


def test_a_condition_judged_on_what_was_learnt_from_never_answers(bundle: Bundle) -> None:
    """The test fold may be any, and gate and encoder may have heard it."""
    data = made(signal=1.0, level_signal=0.0, bundle=bundle)
    heard = json.loads(bundle.contents[HEARD])
    known = data.fingerprints.copy()
    known[np.flatnonzero(data.folds == CONFIG.test_fold)[:3]] = heard[:3]
    trained = train_condition(CONFIG, dataclasses.replace(data, fingerprints=known), bundle)
    assert not trained.spec.answers
    assert trained.figures["test"]["heard_by_gate_or_encoder"] == 3
    assert "learnt from 3 recordings of the test fold" in trained.spec.policy


def test_a_handful_of_people_is_no_evidence(bundle: Bundle) -> None:
    """Where all of six people are told apart, their interval has no width."""
    data = made(signal=6.0, level_signal=0.0, bundle=bundle)
    few = np.zeros(len(data), bool)
    for label in (0, 1):
        for fold in np.unique(data.folds):
            here = np.flatnonzero((data.labels == label) & (data.folds == fold))
            few[here[: 40 if fold == CONFIG.test_fold else 2]] = True
    trained = train_condition(CONFIG, data.pick(few), bundle)
    assert trained.figures["out_of_fold"]["margin_over_levels_95"][0] > 0
    assert not trained.spec.answers
    # One person's two recordings are one: of so few none can be left out at 90 %.
    assert trained.spec.mediator.conformal_quantiles == (1.0, 1.0)


def test_a_table_without_pairs_has_a_page() -> None:
    facts = json.loads((stages.PROJECT / "training" / "results" / "diagnosis" / "report.json").read_text())
    for row in facts["test"]["scorers"].values():
        row |= {"level_matched_auroc": None, "level_matched_auroc_95": [None, None]}
    assert "too few" in "\n".join(blocks(facts, heading="##"))
