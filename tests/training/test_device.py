"""Training on a GPU where there is one, with the weights back in main memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training.config import EncoderConfig, GateConfig, TrainingConfig
from training.corpus import Corpus, Teacher
from training.device import device
from training.encoder import train_encoder
from training.gate import train_gate
from training.waves import Waves


def test_without_a_gpu_it_is_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device() == torch.device("cpu")


def test_a_gpu_is_used_by_one_process_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device() == torch.device("cuda")
    monkeypatch.setattr("training.distributed.size", lambda: 2)
    assert device() == torch.device("cpu")


def test_networks_come_back_finite_from_wherever_they_are_trained(
    tiny: tuple[Corpus, Waves, Teacher],
) -> None:
    gate = GateConfig(width=4, width_out=16, epochs=1, clips_per_epoch=16, batch_size=8, synthetic_share=0.0,
                      mixup_probability=0.5)  # fmt: skip
    encoder = EncoderConfig(width=4, embedding_size=8, epochs=1, batch_size=8)
    config = TrainingConfig(gate=gate, encoder=encoder, threads=1)
    for train in (train_gate, train_encoder):
        weights = train(*tiny, np.arange(6), [], config).state_dict().values()
        assert all(value.device.type == "cpu" for value in weights)
        assert all(torch.isfinite(value).all() for value in weights if value.is_floating_point())
