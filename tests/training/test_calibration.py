"""Threshold and calibration come from few clips a person, by rules that can be checked by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from training.calibration import calibrate_on_heldout, calibration_clips, equal_error_threshold
from training.config import GateConfig, TrainingConfig
from training.corpus import Corpus, Teacher
from training.heldout import Heldout
from training.waves import Waves

Tiny = tuple[Corpus, Waves, Teacher]


def heard(probabilities: list[float]) -> Heldout:
    logits = [np.full(25, np.log(p / (1 - p)), np.float32) for p in probabilities]
    return Heldout(np.arange(len(logits)), logits)


def test_equal_errors_by_hand() -> None:
    labels = np.array([1, 1, 1, 1, 0, 0, 0, 0])
    scores = np.array([0.9, 0.8, 0.7, 0.2, 0.6, 0.3, 0.1, 0.05])
    # From 0.6 on three of four coughs are found and three of four others kept; 0.7 keeps all four.
    threshold = equal_error_threshold(labels, scores)
    assert (scores[labels == 1] >= threshold).mean() == (scores[labels == 0] < threshold).mean() == 0.75


@pytest.mark.parametrize("at_most", [1, 2])
def test_nobody_decides_with_more_clips_than_others(tiny: Tiny, at_most: int) -> None:
    corpus, waves, _ = tiny
    same = tuple(replace(recording, group_id="one") for recording in corpus.recordings)
    config = TrainingConfig(gate=GateConfig(calibration_clips_per_group=at_most))
    kept = calibration_clips(Corpus(corpus.root, same), waves, heard([0.5] * 6), config)
    assert len(kept) == at_most
    kept = calibration_clips(corpus, waves, heard([0.5] * 6), config)
    assert kept.tolist() == [0, 1, 3, 4]  # the unlabelled ones have nothing to say


def repeated(tiny: Tiny, times: int) -> Tiny:
    """So many copies, each of other people."""
    corpus, waves, teacher = tiny
    n = len(corpus.recordings)
    recordings = tuple(
        replace(recording, recording_id=f"{copy}_{i}", group_id=f"{copy}_{i}")
        for copy in range(times)
        for i, recording in enumerate(corpus.recordings)
    )
    samples, length = np.tile(waves.clean, times), int(waves.starts[1])
    starts = np.arange(n * times + 1, dtype=np.int64) * length
    rows = np.concatenate([teacher.logit_rows + n * copy for copy in range(times)])
    start_s, logits = np.tile(teacher.logit_start_s, times), np.tile(teacher.logits, (times, 1))
    heard_all = replace(
        teacher,
        logit_rows=rows,
        logit_start_s=start_s,
        logits=logits,
        embedding_rows=rows,
        embedding_start_s=start_s,
        embeddings=np.tile(teacher.embeddings, (times, 1)),
    )
    return Corpus(corpus.root, recordings), Waves(samples, samples, starts, ""), heard_all


@pytest.mark.parametrize("apart", [1.0, 3.0])
def test_the_threshold_is_that_of_the_target_or_of_equal_errors(tiny: Tiny, apart: float) -> None:
    """Told badly, 95 % of the coughs cost too much; told well, equal errors would cost others for nothing."""
    corpus, waves, teacher = repeated(tiny, 60)
    random = np.random.default_rng(3)
    centre = np.array([apart, -apart, 0.0, apart, -apart, 0.0] * 60)
    probabilities = 1 / (1 + np.exp(-(centre + 1.5 * random.standard_normal(360)).clip(-8, 8)))
    held = calibrate_on_heldout(corpus, waves, teacher, heard(probabilities.tolist()), TrainingConfig())
    wanted, pooled = held.table["at_target_sensitivity"], held.table["pooled"]["ours"]
    assert wanted["sensitivity"] == pytest.approx(0.95, abs=0.01)
    if apart == 1.0:
        assert held.threshold > wanted["threshold"]
        assert pooled["sensitivity"] == pytest.approx(pooled["specificity"], abs=0.01)
    else:
        assert held.threshold == pytest.approx(wanted["threshold"], abs=1e-4)
        assert pooled["specificity"] > pooled["sensitivity"] == pytest.approx(0.95, abs=0.01)
