"""The ensemble that ships, and the frames that gates which never heard a source label."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from training.clips import HOP, GateClips
from training.config import AugmentConfig, GateConfig, TrainingConfig
from training.corpus import Corpus, Teacher
from training.export import check_parity, export_gate, gate_module
from training.gate import seeds_of_members
from training.heldout import Heldout
from training.members import MemberJob, at_once, member_jobs
from training.networks import GateEnsemble, GateNetwork
from training.waves import Waves

FRAMES_OF_4_S = 100


def member(seed: int) -> GateNetwork:
    torch.manual_seed(seed)
    return GateNetwork(width=8, width_out=16, n_teacher_classes=2, embedding_size=2).eval()


def test_an_ensemble_says_the_mean_of_its_members(bout: np.ndarray) -> None:
    one, other = member(0), member(1)
    gate = GateEnsemble([one, other])
    wave = torch.from_numpy(bout[:64_000])[None]
    with torch.inference_mode():
        torch.testing.assert_close(gate(wave), (one(wave) + other(wave)) / 2)
    assert gate.context_s() == one.context_s()


def test_an_ensemble_of_one_is_its_member(bout: np.ndarray) -> None:
    wave = torch.from_numpy(bout[:64_000])[None]
    with torch.inference_mode():
        assert torch.equal(GateEnsemble([member(3)])(wave), member(3)(wave))


def test_the_exported_ensemble_has_one_front_end(bout: np.ndarray) -> None:
    gate = GateEnsemble([member(0), member(1)])
    model = export_gate(gate, slope=1.5, shift=-0.5)
    assert check_parity(gate_module(gate, slope=1.5, shift=-0.5), model, [bout[:64_000]]) < 1e-5
    alone = export_gate(GateEnsemble([member(0)]), slope=1.5, shift=-0.5)
    weights = 4 * sum(p.numel() for p in member(1).parameters())
    assert len(model) - len(alone) < weights + 20_000


def test_members_differ_in_nothing_but_their_seed() -> None:
    config = TrainingConfig(seed=5, gate=GateConfig(members=3))
    assert len(set(seeds_of_members(config))) == 3
    assert seeds_of_members(config)[0] == 5


def test_members_are_trained_side_by_side_where_each_has_a_core(monkeypatch: pytest.MonkeyPatch) -> None:
    two = TrainingConfig(threads=2, gate=GateConfig(members=3))
    assert at_once(two) == (1 if torch.cuda.is_available() else 2)
    assert at_once(TrainingConfig(threads=4, gate=GateConfig(members=1))) == 1
    monkeypatch.setattr("training.distributed.size", lambda: 2)
    assert at_once(two) == 1


def test_each_member_goes_on_from_another_short_gate(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("loso-a", "loso-b", "loso-c")]

    def jobs(**gate: bool | int) -> list[MemberJob]:
        config = TrainingConfig(gate=GateConfig(**gate))
        return member_jobs(config, (), Path("waves"), Path("cache"), {}, folders)

    assert [job.start for job in jobs(members=2)] == [folder / "weights.npz" for folder in folders[:2]]
    assert [job.start for job in jobs(members=4)][3] == folders[0] / "weights.npz"
    assert [job.start for job in jobs(warm_start=False)] == [None, None]
    assert len({str(job.inputs) for job in (*jobs(), *jobs(warm_start=False))}) == 4


def test_heldout_logits_survive_on_disk(tmp_path: Path) -> None:
    written = Heldout(np.array([4, 1]), [np.arange(3, dtype=np.float32), np.array([-7.5], np.float32)])
    written.write(tmp_path)
    read = Heldout.read([tmp_path])
    assert read.rows.tolist() == [4, 1]
    assert [z.tolist() for z in read.logits] == [[0, 1, 2], [-7.5]]
    assert read.frames(1).tolist() == [-7.5]
    assert read.frames(2) is None


def frames_of_a_cough(
    tiny: tuple[Corpus, Waves, Teacher], logits: np.ndarray, **gate: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Labels and weights of the frames of row 3, a cough in which the teacher hears none."""
    never = dict.fromkeys(("codec_probability", "speed_probability", "shorten_probability"), 0.0)
    given = {"self_training": False, "label_cleaning": False, **gate}
    config = TrainingConfig(gate=GateConfig(crop_s=4.0, **given), augment=AugmentConfig(**never))
    batch = GateClips(*tiny, np.array([1, 3]), config, heldout=Heldout(np.array([3]), [logits])).batch(16)
    shown = int(np.flatnonzero(batch.rows == 3)[0])
    return batch.frame_label[shown].numpy(), batch.frame_weight[shown].numpy()


def test_frames_are_labelled_by_gates_that_never_heard_the_source(
    tiny: tuple[Corpus, Waves, Teacher],
) -> None:
    loudest = int(np.argmax(np.square(tiny[1].samples(3)).reshape(-1, HOP).mean(axis=1)))
    logits = np.full(FRAMES_OF_4_S, -8.0, np.float32)
    logits[loudest] = 4.0
    label, weight = frames_of_a_cough(tiny, logits)
    assert np.flatnonzero(label).tolist() == [loudest]
    assert weight.all()  # that gate is sure of every other frame
    label, weight = frames_of_a_cough(tiny, logits, frame_self_training=False)
    assert not label.any()
    assert weight[loudest] == 0  # nobody knows


def test_a_clip_without_a_sure_frame_stays_unknown(tiny: tuple[Corpus, Waves, Teacher]) -> None:
    label, weight = frames_of_a_cough(tiny, np.full(FRAMES_OF_4_S, -8.0, np.float32))
    assert not label.any()
    assert not weight.all()
