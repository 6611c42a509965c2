"""The layer that tells coughs from what the distilled member hears, and the gate that it is part of."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.training.conftest import recording
from training import cough_layer, synth
from training.config import TrainingConfig
from training.corpus import Corpus, Teacher
from training.cough_layer import DistilledMember, GateInContext, fit_layer, heldout_in_context, in_context
from training.export import check_parity, export_gate, gate_module
from training.frontend import FRAME_S
from training.heldout import Heldout
from training.networks import EncoderNetwork, GateEnsemble, GateNetwork
from training.scoring import SILENT_LOGIT, frame_logits
from training.waves import Waves

HOP = 640


def untrained(seed: int = 0) -> DistilledMember:
    """A member of random weights whose batch norms know a bout, or its channels would fade with depth."""
    torch.manual_seed(seed)
    encoder = EncoderNetwork(width=8, embedding_size=8, n_teacher_classes=2, teacher_size=8)
    member = DistilledMember(encoder).requires_grad_(False)
    norms = [m for m in member.modules() if isinstance(m, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d))]
    for norm in norms:
        norm.momentum = 1.0
    bout = synth.cough_bout(np.random.default_rng(seed), duration_s=4.0).astype(np.float32)
    member.train()(torch.from_numpy(bout)[None])
    return member.eval()


def fitted(member: DistilledMember, corpus: Corpus, waves: Waves, teacher: Teacher, rows: np.ndarray) -> None:
    fit_layer(member, corpus, waves, teacher, rows, [], TrainingConfig())


@pytest.fixture(autouse=True)
def _few_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cough_layer, "BATCHES", 3)


def sounds(seed: int) -> tuple[Corpus, Waves, Teacher]:
    """Sixteen recordings of 4 s, coughs and babble in turn, about which the teacher says nothing."""
    random = np.random.default_rng(seed)
    made = [
        synth.cough_bout(random, duration_s=4.0) if i % 2 == 0 else synth.babble(random, duration_s=4.0)
        for i in range(16)
    ]
    samples = np.round(np.concatenate(made) * 20_000).astype(np.int16)
    starts = np.arange(17, dtype=np.int64) * 64_000
    recordings = tuple(recording(str(i), ("cough", "speech")[i % 2]) for i in range(16))
    rows, start_s = np.repeat(np.arange(16), 4), np.tile(np.arange(4.0), 16)
    silence = np.zeros((64, 2), np.float16)
    teacher = Teacher(("Cough", "Speech"), rows, start_s, silence, rows, start_s, silence, "")
    return Corpus(root=None, recordings=recordings), Waves(samples, samples, starts, ""), teacher  # type: ignore[arg-type]


def test_the_layer_tells_coughs_from_babble_it_was_not_fitted_to() -> None:
    member = untrained()
    fitted(member, *sounds(1), np.arange(16))
    _, waves, _ = sounds(2)
    best = [float(z.max()) for z in frame_logits(GateEnsemble([member]), waves, np.arange(16))]
    assert min(best[::2]) > max(best[1::2])


def test_the_same_clips_give_the_same_layer() -> None:
    layers = []
    for _ in range(2):
        member = untrained()
        fitted(member, *sounds(1), np.arange(16))
        layers.append(member.state_dict())
    for name, value in layers[0].items():
        assert torch.equal(value, layers[1][name])


def test_a_frame_hears_no_further_than_it_says(bout: np.ndarray) -> None:
    member = untrained(3)
    wave = np.tile(bout[:64_000], 4)
    changed = wave.copy()
    changed[96_000:97_000] += np.random.default_rng(0).uniform(-0.5, 0.5, 1_000).astype(np.float32)
    with torch.inference_mode():
        before, after = (member(torch.from_numpy(w)[None])[0].numpy() for w in (wave, changed))
    by = np.abs(before - after)
    moved = np.flatnonzero(by > 1e-3 * by.max()) * 4 * FRAME_S
    assert moved.min() >= 6.0 - member.context_s() - 0.04
    assert 2.0 < moved.max() - 97_000 / 16_000 <= member.context_s()


def test_silence_around_a_clip_changes_nothing(bout: np.ndarray) -> None:
    member = untrained(5)
    fitted(member, *sounds(1), np.arange(16))
    alone, inside = bout[:16_000], np.zeros(160_000, np.float32)
    inside[64_000:80_000] = alone
    waves = Waves(
        *[np.round(np.concatenate([alone, inside]) * 32_767).astype(np.int16)] * 2,
        np.array([0, 16_000, 176_000]),
        "",
    )  # type: ignore[arg-type]
    short, long = frame_logits(GateEnsemble([member]), waves, np.arange(2))
    np.testing.assert_allclose(long[100:125], short, atol=1e-3)


def test_a_gate_with_it_is_exported_with_one_front_end(bout: np.ndarray) -> None:
    torch.manual_seed(1)
    labelled = GateNetwork(width=8, width_out=16, n_teacher_classes=2, embedding_size=2).eval()
    gate = GateInContext(GateEnsemble([labelled]), untrained())
    model = export_gate(gate, slope=1.5, shift=-0.5)
    assert check_parity(gate_module(gate, slope=1.5, shift=-0.5), model, [bout[:64_000]]) < 1e-5


def test_a_peak_is_the_mean_of_both_and_its_sides_stay_sharp() -> None:
    sharp = torch.full((1, 101), -8.0)
    sharp[0, 50:53] = 4.0
    context, counts = torch.full((1, 101), 2.0), torch.ones(1, 101)
    both = in_context(sharp, context, counts=counts)[0]
    assert both[50:53].tolist() == [3.0] * 3
    assert both[45] == -8.0 + (2.0 - 4.0) / 2
    assert both[0] == (-8.0 + 2.0) / 2


def test_silence_is_no_peak() -> None:
    sharp, context = torch.zeros(1, 9), torch.zeros(1, 9)
    sharp[0, 4] = -5.0
    counts = torch.zeros(1, 9)
    counts[0, 4] = 1.0
    assert in_context(sharp, context, counts=counts)[0, 4] == -2.5


def test_heldout_recordings_are_scored_as_the_gate_does() -> None:
    one = Heldout(np.array([3, 5]), [np.array([1.0, SILENT_LOGIT], np.float32), np.array([2.0], np.float32)])
    other = Heldout(
        np.array([5, 3]), [np.array([4.0], np.float32), np.array([3.0, SILENT_LOGIT], np.float32)]
    )
    both = heldout_in_context(one, other)
    assert both.rows.tolist() == [3, 5]
    assert [z.tolist() for z in both.logits] == [[2.0, SILENT_LOGIT], [3.0]]
    with pytest.raises(ValueError, match="missing"):
        heldout_in_context(one, Heldout(np.array([3]), [np.zeros(2, np.float32)]))
