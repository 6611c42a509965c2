"""Where networks are trained: on a GPU where there is one, which nothing needs."""

from __future__ import annotations

import torch

from training import distributed


def device() -> torch.device:
    """The first GPU that torch can use, else the CPU; the CPU too in a run of several processes.

    Those average over gloo, which is made for tensors in main memory.
    """
    alone = distributed.size() == 1
    return torch.device("cuda" if alone and torch.cuda.is_available() else "cpu")
