"""Which labels a gate learns from, and how often; on a corpus of synthetic sounds made here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from training.assemble import label_counts
from training.clips import GateClips
from training.config import GateConfig, TrainingConfig
from training.corpus import Corpus, Teacher
from training.gate import build_gate, train_gate
from training.heldout import Heldout
from training.nearcoughs import LONGEST_S, near_coughs
from training.stages import save_weights
from training.waves import Waves


def clips(tiny: tuple[Corpus, Waves, Teacher], heard: np.ndarray | None, **gate: bool) -> GateClips:
    """``heard``: (6,) probability that gates which never heard a source give its recordings."""
    config = TrainingConfig(gate=GateConfig(**gate))
    heldout = None
    if heard is not None:
        heldout = Heldout(np.arange(6), [np.full(25, np.log(p / (1 - p)), np.float32) for p in heard])
    return GateClips(*tiny, np.arange(6), config, heldout=heldout)


def test_heldout_scores_label_the_unlabelled_and_drop_false_coughs(
    tiny: tuple[Corpus, Waves, Teacher],
) -> None:
    heard = np.array([0.001, 0.99, 0.95, 0.001, 0.5, 0.01])
    believed = clips(tiny, heard)
    # The teacher hears the first cough, nobody hears that of row 3; labels of others are not overruled.
    assert believed.label.tolist() == [1, 0, 1, 1, 0, 0]
    assert believed.weight.tolist() == [1, 1, 0.5, 0, 1, 0.5]
    given = clips(tiny, heard, self_training=False, label_cleaning=False)
    assert given.weight.tolist() == clips(tiny, None).weight.tolist() == [1, 1, 0, 1, 1, 0]


def test_the_bundle_says_what_was_made_of_weak_labels(tiny: tuple[Corpus, Waves, Teacher]) -> None:
    heard = [0.001, 0.99, 0.95, 0.001, 0.5, 0.01]
    heldout = Heldout(np.arange(6), [np.full(25, np.log(p / (1 - p)), np.float32) for p in heard])
    assert label_counts(*tiny, np.arange(6), TrainingConfig(), heldout) == {
        "cough_clips": 2,
        "cough_clips_dropped_as_silent": 0,
        "cough_clips_dropped_as_nobody_hears_one": 1,
        "unlabelled_clips": 2,
        "unlabelled_learnt_as_cough": 1,
        "unlabelled_learnt_as_other": 1,
    }


def test_mining_draws_what_fooled_the_gate_more_often(tiny: tuple[Corpus, Waves, Teacher]) -> None:
    some = clips(tiny, None)
    before = some.drawn.copy()
    some.remember(np.array([1, -1, 0, 5]), np.array([1.0, 1.0, 0.0, 1.0], np.float32))
    some.mine()
    assert some.drawn[1] > 1.5 * before[1]
    assert some.drawn[4] < before[4]
    assert some.drawn[0] == pytest.approx(before[0])  # the share of coughs stays
    assert some.drawn[5] == pytest.approx(before[5])  # nobody is sure that it holds none
    assert some.drawn.sum() == pytest.approx(1)


def test_training_on_anything_changes_weights_and_stays_finite(tiny: tuple[Corpus, Waves, Teacher]) -> None:
    gate = GateConfig(
        width=4, width_out=16, epochs=2, clips_per_epoch=16, batch_size=8,
        mixup_probability=1.0, synthetic_share=0.5,
    )  # fmt: skip
    config = TrainingConfig(gate=gate, threads=1)
    noise = [np.random.default_rng(0).standard_normal(8_000).astype(np.float32)]
    trained = [train_gate(*tiny, np.arange(6), [], config, synthetic=noise).state_dict() for _ in range(2)]
    assert all(torch.isfinite(value).all() for value in trained[0].values() if value.is_floating_point())
    assert all(torch.equal(value, trained[1][name]) for name, value in trained[0].items())


def test_training_goes_on_from_the_weights_it_is_given(
    tiny: tuple[Corpus, Waves, Teacher], tmp_path: Path
) -> None:
    gate = GateConfig(
        width=4, width_out=16, epochs=1, clips_per_epoch=8, batch_size=8, learning_rate=1e-9
    )  # fmt: skip
    config = TrainingConfig(gate=gate, threads=1)
    given = build_gate(config.model_copy(update={"seed": 4}), tiny[2])
    save_weights(given, tmp_path / "weights.npz")
    went_on = train_gate(*tiny, np.arange(6), [], config, start=tmp_path / "weights.npz")
    anew = train_gate(*tiny, np.arange(6), [], config)
    torch.testing.assert_close(went_on.cough.weight, given.cough.weight, rtol=0, atol=1e-6)
    assert not torch.allclose(anew.cough.weight, given.cough.weight, atol=1e-2)


def test_heldout_clip_score_is_the_best_stretch() -> None:
    logits = [np.array([-9.0, 2, 2, 2, 2, -9], np.float32), np.array([5.0], np.float32)]
    scores = Heldout(np.array([2, 0]), logits).clip_scores(4, 4)
    assert scores[2] == pytest.approx(1 / (1 + np.exp(-2)))
    assert scores[0] < 1e-6  # one loud frame is no stretch of four
    assert np.isnan(scores[[1, 3]]).all()


def test_near_coughs_are_seeded_short_and_audible() -> None:
    sounds = near_coughs(40, seed=3, speech_share=0.0)
    assert all(0 < len(s) <= LONGEST_S * 16_000 and np.isfinite(s).all() for s in sounds)
    assert {round(float(np.abs(s).max()), 3) for s in sounds} == {0.5}
    again = near_coughs(40, seed=3, speech_share=0.0)
    assert all(np.array_equal(a, b) for a, b in zip(sounds, again, strict=True))
