"""Parts of soundscapes in training batches: what they claim about frames, and what they leave alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cough.audio import SAMPLE_RATE_HZ
from training.clips import HOP, GateClips
from training.composed import DECAY_FRAMES, SCENES, Composer, truth
from training.config import GateConfig, TrainingConfig
from training.corpus import Corpus, Teacher
from training.heldout import Heldout
from training.isolated import Sound
from training.scenes import Placed, Soundscape
from training.waves import Waves


def config(share: float) -> TrainingConfig:
    return TrainingConfig(gate=GateConfig(composed_share=share))


def test_frames_are_cough_none_or_neither_at_the_edges() -> None:
    sound = Sound(np.ones(6_400, np.float32), 0, 6_400, "cough", "made", "1", "1")
    coughs = (Placed(0.10, 0.30, sound), Placed(0.50, 0.53, sound))
    scene = Soundscape(np.zeros(HOP * 25, np.float32), coughs, (), "noise", 10.0, "apart")
    frames = truth(scene)
    assert len(frames) == 25
    # 0.10 s lies in the middle of frame 2, 0.30 s in the middle of frame 7.
    assert frames[:2].tolist() == [0, 0]
    assert (frames[3:7] == 1).all()
    assert (frames[8 : 8 + DECAY_FRAMES] == -1).all()
    assert frames[8 + DECAY_FRAMES] == 0
    assert (frames == 1).sum() >= 5 + 1  # a cough shorter than a frame has one all the same
    assert frames[18:].tolist() == [0] * 7


def test_chosen_clips_are_replaced_whole_and_the_others_not_touched(
    tiny: tuple[Corpus, Waves, Teacher],
) -> None:
    composer = Composer(tiny[0], tiny[1], np.arange(6), config(0.5))
    assert len(composer.scenes) == SCENES
    batch = GateClips(*tiny, np.arange(6), config(0.5)).batch(64)
    before, rows = batch.wave.clone(), batch.rows.copy()
    composer.replace(batch)
    replaced = torch.from_numpy(batch.rows == -1)
    assert 16 <= replaced.sum() <= 48
    assert torch.equal(batch.wave[~replaced], before[~replaced])
    assert (batch.rows[~replaced.numpy()] == rows[~replaced.numpy()]).all()
    assert not replaced[batch.logit_clip].any()
    assert not replaced[batch.embedding_clip].any()
    assert len(batch.logit_clip) == len(batch.logit_frame) == len(batch.logit_target)
    labelled = batch.frame_label[replaced]
    assert torch.equal(labelled.any(dim=1).float(), batch.clip_label[replaced])
    assert (batch.frame_weight[replaced][labelled == 1] == 1).all()
    assert 0 < batch.clip_label[replaced].mean() < 1


def test_coughs_lie_where_the_frames_say(tiny: tuple[Corpus, Waves, Teacher]) -> None:
    composer = Composer(tiny[0], tiny[1], np.arange(6), config(1.0))
    louder_db = []
    for frames, scene in composer.scenes:
        if (frames == 1).any() and scene.snr_db > 10:
            level = np.square(scene.samples[: len(frames) * HOP].reshape(-1, HOP)).mean(axis=1)
            background = frames == 0
            for voice in scene.voices:
                first = int(voice.start_s * SAMPLE_RATE_HZ / HOP)
                background[first : int(voice.end_s * SAMPLE_RATE_HZ / HOP) + 1] = False
            louder_db.append(10 * np.log10(level[frames == 1].mean() / level[background].mean()))
    assert len(louder_db) > SCENES // 4
    assert min(louder_db) > 5


@pytest.mark.parametrize("heard", [False, True])
def test_only_coughs_that_somebody_hears_are_placed(tiny: tuple[Corpus, Waves, Teacher], heard: bool) -> None:
    # The teacher hears a cough in recording 0 alone; a gate that never heard the source perhaps in 3.
    heldout = Heldout(np.array([3]), [np.full(100, 3.0 if heard else -3.0, np.float32)])
    clips = GateClips(*tiny, np.arange(6), config(1.0), heldout=heldout)
    composer = Composer(tiny[0], tiny[1], np.arange(6), config(1.0), clips.is_heard)
    names = {cough.sound.name for _, scene in composer.scenes for cough in scene.coughs}
    assert {name.partition("@")[0] for name in names} == ({"0", "3"} if heard else {"0"})


def test_without_coughs_or_share_nothing_is_replaced(tiny: tuple[Corpus, Waves, Teacher]) -> None:
    for rows, share in (([1, 4], 1.0), ([0, 1], 0.0)):
        composer = Composer(tiny[0], tiny[1], np.array(rows), config(share))
        batch = GateClips(*tiny, np.arange(6), config(share)).batch(8)
        before = batch.rows.copy()
        composer.replace(batch)
        assert (batch.rows == before).all()
