"""What of a recording anybody would hear beside its louder sounds; in the rest the gate finds no cough.

The networks hear sounds without their level (``training.frontend.LocalLevel``), and the pause between two
coughs, however quiet, lies among what sounds like coughing: noise at -80 dBFS there was counted as a cough.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from training.heldout import Heldout
from training.networks import GATE_HOP_S
from training.scoring import HOP, SILENT_LOGIT, SILENT_POWER
from training.waves import Waves

AROUND_FRAMES = 37
"""How far either side the louder sound may be: 1.5 s."""
FAINT_DB = 40.0
"""On sources never heard this costs nothing: AUROC 0.9887 (0.9886 without), F1 of events at 10 dB 0.805 and
0.815 (0.799 and 0.809); nor do 35 or 45 dB."""
CONTEXT_S = (AROUND_FRAMES + 1) * GATE_HOP_S
"""Seconds of input either side of a frame that can silence it (an upper bound)."""


def audible(power: Tensor) -> Tensor:
    """Which frames are heard: (batch, n_frames) mean squares of 40 ms -> the same shape, bool.

    A frame is not that is silent (-90 dBFS), or ``FAINT_DB`` below the loudest within ``AROUND_FRAMES``.
    """
    loudest = nn.functional.max_pool1d(power[:, None], 2 * AROUND_FRAMES + 1, 1, AROUND_FRAMES)[:, 0]
    return (power > SILENT_POWER) & (power > 10 ** (-FAINT_DB / 10) * loudest)


def audible_parts(heldout: Heldout, waves: Waves) -> Heldout:
    """The same, with ``SILENT_LOGIT`` wherever nobody would hear anything."""
    logits = []
    for row, z in zip(heldout.rows, heldout.logits, strict=True):
        samples = waves.samples(int(row))
        padded = np.pad(samples, (0, len(z) * HOP - len(samples)))
        power = torch.from_numpy(np.square(padded.reshape(1, -1, HOP)).mean(axis=2))
        logits.append(np.where(audible(power)[0].numpy(), z, np.float32(SILENT_LOGIT)))
    return Heldout(heldout.rows, logits)
