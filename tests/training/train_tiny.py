"""Train a tiny gate and encoder and keep their weights; alone or by ``torchrun``: ``train_tiny OUT.npz``."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from tests.training.conftest import tiny_corpus
from training import distributed
from training.config import EncoderConfig, GateConfig, TrainingConfig
from training.encoder import build_encoder, train_encoder
from training.gate import build_gate, train_gate


def main() -> None:
    """The path is the first argument."""
    config = TrainingConfig(
        threads=1,
        gate=GateConfig(
            width=4, width_out=16, epochs=2, clips_per_epoch=32, batch_size=8, synthetic_share=0.0,
            bfloat16=False,
        ),
        encoder=EncoderConfig(width=4, embedding_size=8, epochs=2, batch_size=8, bfloat16=False),
    )  # fmt: skip
    corpus, waves, teacher = tiny_corpus()
    rows = np.arange(len(corpus.recordings))
    weights = {}
    wave = torch.from_numpy(np.stack([waves.samples(row)[:16_000] for row in rows]))
    for name, build, train in (("gate", build_gate, train_gate), ("encoder", build_encoder, train_encoder)):
        network = train(corpus, waves, teacher, rows, [], config)
        weights |= {f"{name}.{key}": value.numpy() for key, value in network.state_dict().items()}
        with torch.inference_mode():
            weights[f"{name} output"] = network(wave).numpy()
            weights[f"{name} output untrained"] = build(config, teacher).eval()(wave).numpy()
    if distributed.rank() == 0:
        np.savez(Path(sys.argv[1]), **weights)
    distributed.wait()
    distributed.leave()


if __name__ == "__main__":
    main()
