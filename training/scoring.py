"""Frame logits of whole recordings, and clip scores from them, before anything is exported."""

from __future__ import annotations

import numpy as np
import torch
from rich.progress import track

from cough.audio import SAMPLE_RATE_HZ
from training.networks import GATE_HOP_S, GateEnsemble, GateNetwork
from training.waves import Waves

HOP = round(GATE_HOP_S * SAMPLE_RATE_HZ)
SILENT_POWER = 1e-9
"""Mean square of a 40 ms frame below which it cannot be a cough (-90 dBFS)."""
SILENT_LOGIT = -30.0


@torch.inference_mode()
def frame_logits(network: GateNetwork | GateEnsemble, waves: Waves, rows: np.ndarray) -> list[np.ndarray]:
    """Logits of every frame of each recording, silent frames at ``SILENT_LOGIT``; float32 arrays."""
    network.eval()
    context = -(-round(network.context_s() * SAMPLE_RATE_HZ) // HOP)
    out = []
    for row in track(rows, description="scoring recordings"):
        samples = waves.samples(int(row))
        n_frames = -(-len(samples) // HOP)
        padded = np.zeros((n_frames + 2 * context) * HOP, np.float32)
        padded[context * HOP : context * HOP + len(samples)] = samples
        logits = network(torch.from_numpy(padded)[None])[0].numpy()[context : context + n_frames]
        power = np.square(padded.reshape(-1, HOP)).mean(axis=1)[context : context + n_frames]
        out.append(np.where(power > SILENT_POWER, logits, SILENT_LOGIT).astype(np.float32))
    return out


def clip_scores(
    logits: list[np.ndarray], score_frames: int, *, slope: float = 1.0, shift: float = 0.0
) -> np.ndarray:
    """As ``cough.gate``: highest mean probability over ``score_frames`` frames; (n_clips,) float64."""
    kernel = np.full(score_frames, 1.0 / score_frames)
    return np.array(
        [np.convolve(sigmoid(slope * z.astype(np.float64) + shift), kernel).max() for z in logits]
    )


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)))
