"""Config, corpus, codecs, augmentation, stages, synthesis: the small parts of the recipe."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from training import synth
from training.augment import Augmenter
from training.calibration import calibrate
from training.codecs import PHONE_CODECS, round_trip
from training.config import AugmentConfig, TrainingConfig, read_config
from training.corpus import Corpus, Teacher
from training.gate import clip_logits
from training.parts import N_PARTS, PARTS, part_of, usable
from training.scoring import clip_scores, sigmoid
from training.stages import PROJECT, imported_by, load_weights, run_stage, save_weights, source_hash


def test_shipped_config_reads_and_overrides() -> None:
    path = PROJECT / "training" / "default.toml"
    assert read_config(path).seed == 20201
    changed = read_config(path, ["gate.epochs=1", 'licences="open"'])
    assert (changed.gate.epochs, changed.licences) == (1, "open")
    with pytest.raises(ValidationError):
        read_config(path, ["gate.epoch=1"])
    with pytest.raises(ValidationError):
        read_config(path, ['licences="some"'])
    with pytest.raises(ValueError, match="key=value"):
        read_config(path, ["gate.epochs"])


def test_lighter_augmentation_does_the_same_less_often() -> None:
    whole = AugmentConfig()
    lighter = whole.lightened(0.4)
    for name, value in whole:
        expected = 0.4 * value if name.endswith("_probability") else value
        assert getattr(lighter, name) == expected


@pytest.mark.parametrize("codec", PHONE_CODECS, ids=lambda c: f"{c.encoder}-{c.bit_rate}")
def test_phone_codecs_keep_length_and_sound(codec: object, bout: np.ndarray) -> None:
    out = round_trip(bout, codec)  # type: ignore[arg-type]
    assert out.shape == bout.shape
    blocks = lambda x: np.square(x[:95_200].reshape(-1, 800)).mean(axis=1)  # noqa: E731
    assert np.corrcoef(blocks(bout), blocks(out))[0, 1] > 0.8


def test_augmentation_is_seeded_finite_and_keeps_shape(bout: np.ndarray) -> None:
    wave = torch.from_numpy(np.stack([bout[:48_000], np.zeros(48_000, np.float32)] * 8))
    always = {name: 1.0 for name in AugmentConfig.model_fields if name.endswith("probability")}
    config = AugmentConfig(**always)
    room = np.exp(-np.arange(4_000) / 500).astype(np.float32)
    outputs = []
    for _ in range(2):
        augment = Augmenter(config, [room], seed=1)
        mixed = augment.mix(wave, wave.flip(0), torch.ones(16, dtype=torch.bool))
        outputs.append(augment(mixed))
        masked = augment.mask(torch.ones(16, 64, 300))
    assert outputs[0].shape == wave.shape
    assert torch.isfinite(outputs[0]).all()
    assert torch.equal(*outputs)
    assert 0 < float(masked.mean()) < 1


def test_stage_runs_once_for_the_same_inputs(tmp_path: Path) -> None:
    calls = []

    def make(folder: Path) -> None:
        calls.append(folder)
        (folder / "out.txt").write_text("done")

    first = run_stage(tmp_path, "stage", {"a": 1}, make)
    assert run_stage(tmp_path, "stage", {"a": 1}, make) == first
    assert len(calls) == 1
    assert run_stage(tmp_path, "stage", {"a": 2}, make) != first
    assert (first / "out.txt").read_text() == "done"


def test_a_failed_stage_leaves_nothing_that_looks_done(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half.txt").write_text("half")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        run_stage(tmp_path, "stage", {}, fail)
    done = run_stage(tmp_path, "stage", {}, lambda folder: None)
    assert not (done / "half.txt").exists()


def test_what_a_stage_depends_on_follows_from_imports() -> None:
    voters = imported_by("training.diagnosis")
    # Itself, what it imports, what that imports, and the packages that these are in.
    assert {"training.diagnosis", "training.voters", "training.classical", "cough.__init__"} <= set(voters)
    assert not {"training.pipeline", "cough.cli.main", "serving.app"} & set(voters)
    assert set(imported_by("training.voters")) <= set(voters)
    assert imported_by("cough.errors") == imported_by("cough.__init__")  # runs before it


def test_source_hash_names_modules() -> None:
    assert source_hash(["training.gate"]) != source_hash(["training.encoder"])


def test_weights_survive_without_pickle(tmp_path: Path) -> None:
    a, b = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    save_weights(a, tmp_path / "w.npz")
    load_weights(b, tmp_path / "w.npz")
    assert torch.equal(a.weight, b.weight)


def test_calibration_finds_slope_and_shift() -> None:
    """Clips whose frames all share a logit z, with labels drawn from sigmoid(1.5 z - 1)."""
    random = np.random.default_rng(0)
    z = random.standard_normal(4_000) * 2
    labels = (random.random(4_000) < sigmoid(1.5 * z - 1)).astype(int)
    slope, shift = calibrate([np.full(10, v, np.float32) for v in z], labels, 4)
    assert (slope, shift) == (pytest.approx(1.5, abs=0.15), pytest.approx(-1.0, abs=0.15))


def test_clip_scores_pool_as_documented() -> None:
    logits = np.random.default_rng(0).standard_normal(50).astype(np.float32) * 3
    smooth = np.convolve(sigmoid(logits.astype(float)), np.full(4, 0.25))
    assert clip_scores([logits], 4)[0] == pytest.approx(smooth.max())
    pooled = clip_logits(torch.from_numpy(logits)[None], 4)
    windows = np.lib.stride_tricks.sliding_window_view(logits, 4).mean(axis=1)
    assert float(pooled) == pytest.approx(windows.max(), abs=1e-5)


def test_synthesis_is_reproducible_and_sounds_like_something() -> None:
    a = synth.cough_bout(np.random.default_rng(1))
    b = synth.cough_bout(np.random.default_rng(1))
    np.testing.assert_array_equal(a, b)
    assert 0.2 < np.abs(a).max() < 1.0
    one = synth.cough(np.random.default_rng(2))
    assert 0.2 < len(one) / 16_000 < 0.7
    energy = np.square(one[: len(one) // 160 * 160].reshape(-1, 160)).mean(axis=1)
    assert energy[:3].max() > 0.1 * energy.max()  # explosive: near its loudest within 30 ms
    assert energy[-3:].max() < 0.05 * energy.max()


def test_examples_are_remade_by_their_command(tmp_path: Path) -> None:
    for path in synth.write_examples(tmp_path):
        from cough.audio import decode

        shipped = decode(PROJECT / "cough" / "examples" / path.name)
        again = decode(io.BytesIO(path.read_bytes()))
        assert len(shipped.samples) == len(again.samples)
        np.testing.assert_allclose(shipped.samples, again.samples, atol=1e-3)


@pytest.mark.corpus
def test_training_rows_keep_fold_5_and_other_licences_out(corpus: Corpus) -> None:
    config = TrainingConfig()
    training = usable(corpus, config)
    assert config.test_fold not in {corpus.recordings[r].fold for r in training}
    test_groups = {r.group_id for r in corpus.recordings if r.fold == config.test_fold}
    assert not test_groups & {corpus.recordings[r].group_id for r in training}
    opened = usable(corpus, TrainingConfig(licences="open"))
    assert {corpus.recordings[r].licence_class for r in opened} == {"open"}


@pytest.mark.corpus
def test_every_part_of_the_sources_has_what_it_takes_to_be_judged(corpus: Corpus) -> None:
    rows = usable(corpus, TrainingConfig())
    for part in range(N_PARTS):
        here = [corpus.recordings[r] for r in rows if part_of(corpus.recordings[r].source) == part]
        assert sum(r.is_cough is True for r in here) >= 20
        assert sum(r.is_cough is False for r in here) >= 300
    named = set().union(*PARTS)
    assert named <= {r.source for r in corpus.recordings}


@pytest.mark.corpus
def test_teacher_is_aligned_with_the_corpus(corpus: Corpus) -> None:
    """Read by id, not by position: ESC-50's coughs are what the teacher calls coughs."""
    teacher = Teacher.read(corpus)
    scores = teacher.clip_scores(len(corpus.recordings))
    coughs = corpus.where(lambda r: r.source == "esc50" and r.event == "cough")
    others = corpus.where(lambda r: (r.source == "esc50" and r.event == "music") or r.event == "siren")
    assert np.median(scores[coughs]) > np.quantile(scores[others], 0.95) + 2
    assert np.isfinite(scores).mean() > 0.99
