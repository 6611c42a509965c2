"""``make train CORPORA=...``: what a stranger downloaded becomes a bundle, without a teacher's outputs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cough import errors
from cough.bundle import load_bundle
from cough.encoder import Encoder
from cough.gate import CoughEvent
from cough.screener import Screener
from tests.conftest import EXAMPLES
from tests.training.corpora.layouts import covid19_cough
from tests.training.corpora.miniature import sound, table
from training.config import TrainingConfig
from training.corpora.form import prepare
from training.joined import read_corpora, read_teacher
from training.parts import deal
from training.quantisation import TOLERANCE
from training.stages import PROJECT

KINDS = {"coughing": 24, "dog": 0, "sneezing": 21}
TINY = (
    "gate.epochs=1", "gate.clips_per_epoch=64", "gate.synthetic_share=0.0", "loso.epochs=1",
    "encoder.epochs=1", "encoder.width=8", "gate.width=8", "distilled.epochs=1", "distilled.loso_epochs=1",
)  # fmt: skip


def larger_esc50(root: Path, *, esc10: bool = False) -> Path:
    """Its layout again, with enough in it to train on: 15 clips a kind and fold of 0.8 s."""
    folder = root / "ESC-50" / "ESC-50-33c8ce9eb2cf0b1c2f8bcf322eb349b6be34dbb6"
    rows = []
    for fold in range(1, 6):
        for kind, target in KINDS.items():
            for i in range(10):
                clip = 1000 * fold + 100 * target + i
                rows.append((f"{fold}-{clip}-A-{target}.wav", fold, target, kind, esc10, clip, "A"))
                sound(
                    folder / "audio" / str(rows[-1][0]), seed=clip, cough=kind == "coughing",
                    rate_hz=44_100, seconds=0.8,
                )  # fmt: skip
    header = ("filename", "fold", "target", "category", "esc10", "src_file", "take")
    table(folder / "meta" / "esc50.csv", header, rows)
    return root


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Miniatures of ESC-50 and covid19-cough, each prepared."""
    root = tmp_path_factory.mktemp("own")
    prepare("esc50", larger_esc50(root / "raw1"), root / "esc50")
    prepare("covid19_cough", covid19_cough(root / "raw2"), root / "covid19_cough")
    return root / "esc50", root / "covid19_cough"


def train(out: Path, *corpora: Path, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """What ``make train CORPORA=...`` runs, tiny."""
    settings = [part for one in TINY for part in ("--set", one)]
    command = [
        sys.executable, "-m", "training.pipeline", "--corpus", ",".join(map(str, corpora)),
        "--cache", str(out.parent / "cache"), "--out", str(out), *settings, *options,
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=PROJECT)


@pytest.fixture(scope="module")
def trained(prepared: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of both miniatures."""
    out = tmp_path_factory.mktemp("trained") / "bundle"
    done = train(out, *prepared)
    assert done.returncode == 0, done.stderr
    assert "no covid19 from" in done.stdout
    return out


def test_two_downloads_become_a_bundle_that_screens(prepared: tuple[Path, Path], trained: Path) -> None:
    spec = load_bundle(trained).spec
    assert spec.conditions == ()
    assert spec.training.teacher == "none"
    assert sum(spec.training.licences.values()) == 120 + 4
    fold_5 = spec.metrics["gate"]["fold_5"]
    assert fold_5["coughs"] >= 10
    assert fold_5["mn04"]["auroc"] is None
    assert 0 <= fold_5["ours"]["auroc"] <= 1
    result = Screener(trained).screen(EXAMPLES / "synthetic_cough.m4a")
    assert 0 <= result.cough_score <= 1
    text = json.dumps(spec.model_dump(mode="json"), allow_nan=False)
    assert str(prepared[0]) not in text


def with_teacher(corpus: Path, out: Path) -> Path:
    """The same corpus, heard by a teacher who knows coughs by their name."""
    shutil.copytree(corpus, out)
    recordings = read_corpora((out,)).recordings
    ids = np.array([r.recording_id for r in recordings], dtype=object)
    n = len(ids)
    logits = np.array([[3.0, -6.0] if r.is_cough else [-6.0, 0.0] for r in recordings], np.float16)
    embeddings = np.random.default_rng(0).standard_normal((n, 384)).astype(np.float16)
    heard = {"recording_id": ids, "row": np.arange(n), "start_s": np.zeros(n)}
    (out / "teacher").mkdir()
    np.savez(
        out / "teacher" / "mn04_logits.npz", logits=logits, classes=np.array(["Cough", "Speech"]), **heard
    )
    np.savez(out / "teacher" / "mn04_embeddings.npz", embedding=embeddings, **heard)
    return out


def test_with_a_teacher_the_last_member_is_distilled(prepared: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    done = train(out, with_teacher(prepared[0], tmp_path / "taught"))
    assert done.returncode == 0, done.stderr
    stages = {path.name.split("-")[0] for path in (tmp_path / "cache").iterdir()}
    assert {"loso", "distilled", "layer", "gate"} <= stages
    spec = load_bundle(out).spec
    assert spec.gate.context_s > 1.5 > (spec.gate.edge_s or 0)
    assert spec.metrics["training"]["leave_sources_out_core_s"] >= 0
    assert 0 <= Screener(out).screen(EXAMPLES / "synthetic_cough.m4a").cough_score <= 1


def test_gate_and_encoder_of_a_bundle_are_kept_and_where_they_came_from(
    prepared: tuple[Path, Path], trained: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again"
    done = train(again, *prepared, options=("--keep-gate", str(trained), "--keep-encoder", str(trained)))
    assert done.returncode == 0, done.stderr
    old, new = load_bundle(trained), load_bundle(again)
    assert new.contents["gate.onnx"] == old.contents["gate.onnx"]
    assert new.spec.training.kept["gate"]["bundle_id"] == old.spec.bundle_id
    assert new.spec.training.kept["encoder"]["bundle_id"] == old.spec.bundle_id
    noise = 0.1 * np.random.default_rng(0).standard_normal(16_000).astype(np.float32)
    events = [CoughEvent(start_s=0.0, end_s=1.0, score=1.0)]
    ours = [Encoder(bundle).embed(noise, events)[0] for bundle in (old, new)]
    # The same weights; the ranges of activations are measured anew.
    assert np.linalg.norm(ours[0] - ours[1]) < TOLERANCE


def kept(done: subprocess.CompletedProcess[str]) -> set[str]:
    """Stages that a run did not make anew."""
    return {line.split(":")[0] for line in done.stdout.splitlines() if ": unchanged, from " in line}


def test_a_second_run_makes_nothing_anew(prepared: tuple[Path, Path], trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained.parent / "cache", tmp_path / "cache")
    again = tmp_path / "again"
    done = train(again, *prepared)
    assert done.returncode == 0, done.stderr
    assert kept(done) == {"waves", "loso", "gate", "encoder", "models", "voters", "figures"}
    assert (again / "bundle.json").read_bytes() == (trained / "bundle.json").read_bytes()
    # What the calibration depends on makes all that hangs on it anew, and nothing else.
    done = train(again, *prepared, options=("--set", "gate.target_sensitivity=0.5"))
    assert done.returncode == 0, done.stderr
    assert kept(done) == {"waves", "loso", "gate", "encoder"}
    assert load_bundle(again).spec.training.config["gate"]["target_sensitivity"] == 0.5


def test_the_same_seeds_give_the_same_bundle(
    prepared: tuple[Path, Path], trained: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again"
    done = train(again, *prepared)
    assert done.returncode == 0, done.stderr
    assert load_bundle(again).spec.files == load_bundle(trained).spec.files
    assert load_bundle(again).spec.bundle_id == load_bundle(trained).spec.bundle_id


def test_what_is_too_little_is_said_before_anything_is_decoded(
    prepared: tuple[Path, Path], tmp_path: Path
) -> None:
    done = train(tmp_path / "bundle", prepared[1])
    assert done.returncode == 1
    assert done.stderr.startswith("corpus_too_small: ")
    assert not (tmp_path / "bundle").exists()
    assert not (tmp_path / "cache").exists()


def test_a_folder_that_is_no_corpus_is_said(tmp_path: Path) -> None:
    done = train(tmp_path / "bundle", tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("layout_unknown: ")


def test_joining_keeps_every_recording_once_and_groups_apart(prepared: tuple[Path, Path]) -> None:
    joined = read_corpora(prepared)
    parts = [read_corpora([root]) for root in prepared]
    assert len(joined.recordings) == sum(len(part.recordings) for part in parts)
    assert len({r.recording_id for r in joined.recordings}) == len(joined.recordings)
    assert all(Path(r.path).is_file() for r in joined.recordings)
    assert read_corpora(prepared).data_hash == joined.data_hash != read_corpora(prepared[::-1]).data_hash
    teacher = read_teacher(joined)
    assert np.isnan(teacher.clip_scores(len(joined.recordings))).all()
    twice = read_corpora([prepared[0], prepared[0]])
    assert len(twice.recordings) == len(parts[0].recordings)


def test_sources_are_dealt_so_that_every_gate_has_coughs_and_others(prepared: tuple[Path, Path]) -> None:
    corpus = read_corpora(prepared)
    dealt = deal(corpus, TrainingConfig())
    assert dealt.by == "groups"
    assert "others of its source" in dealt.never_heard
    for part in range(dealt.n_parts):
        kinds = {r.is_cough for r, p in zip(corpus.recordings, dealt.part, strict=True) if p != part}
        assert {True, False} <= kinds
    with pytest.raises(errors.CorpusTooSmall):
        deal(read_corpora(prepared[1:]), TrainingConfig())


@pytest.mark.corpus
def test_the_shared_corpus_is_read_and_dealt_as_before() -> None:
    from training.corpus import Corpus, corpus_path

    alone = Corpus.read(corpus_path())
    assert read_corpora([corpus_path()]).data_hash == alone.data_hash
    dealt = deal(alone, TrainingConfig())
    assert (dealt.n_parts, dealt.by) == (4, "sources")
