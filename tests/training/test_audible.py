"""Which frames the gate hears: none that is far below a louder one nearby."""

from __future__ import annotations

import numpy as np
import torch

from training.audible import AROUND_FRAMES, audible, audible_parts
from training.export import export_gate, run_onnx
from training.heldout import Heldout
from training.networks import GateNetwork
from training.scoring import SILENT_LOGIT
from training.waves import Waves

HOP = 640


def at_levels(levels_db: list[float]) -> torch.Tensor:
    """(1, n_frames) mean squares."""
    return 10 ** (torch.tensor([levels_db]) / 10)


def test_faint_beside_loud_is_not_heard() -> None:
    assert audible(at_levels([-20, -59, -61, -95]))[0].tolist() == [True, True, False, False]


def test_the_loud_sound_is_near_or_does_not_count() -> None:
    levels = [-70.0] * (2 * AROUND_FRAMES)
    levels[0] = -10.0
    heard = audible(at_levels(levels))[0].tolist()
    assert heard[1 : AROUND_FRAMES + 1] == [False] * AROUND_FRAMES
    assert all(heard[AROUND_FRAMES + 1 :])


def test_a_recording_turned_down_is_heard_alike() -> None:
    levels = np.random.default_rng(0).uniform(-60, 0, 200)
    assert torch.equal(audible(at_levels(levels.tolist())), audible(at_levels((levels - 20).tolist())))


def test_graph_and_calibration_go_by_the_same_frames(bout: np.ndarray) -> None:
    torch.manual_seed(0)
    network = GateNetwork(width=8, width_out=16, n_teacher_classes=2, embedding_size=2).eval()
    samples = bout[:64_000].copy()
    samples[32_000:48_000] *= 1e-3
    probabilities = run_onnx(export_gate(network, slope=1.0, shift=5.0), samples[None])[0]
    pcm = np.round(samples * 32_767).astype(np.int16)
    waves = Waves(pcm, pcm, np.array([0, len(pcm)]), "")  # type: ignore[arg-type]
    (logits,) = audible_parts(Heldout(np.array([0]), [np.ones(100, np.float32)]), waves).logits
    assert ((probabilities == 0) == (logits == SILENT_LOGIT)).all()
    assert (probabilities[52:74] == 0).all()
    assert (probabilities[:50] > 0).any()


def test_half_a_frame_at_the_end_counts_as_it_is() -> None:
    pcm = np.full(HOP + 100, 3_000, np.int16)
    waves = Waves(pcm, pcm, np.array([0, len(pcm)]), "")  # type: ignore[arg-type]
    (logits,) = audible_parts(Heldout(np.array([0]), [np.ones(2, np.float32)]), waves).logits
    assert logits.tolist() == [1.0, 1.0]
