"""What the gate is timed against: a MobileNetV1 body of YAMNet's size, and its own front end alone.

Weights are random: they decide what is heard, not how long it takes.
"""

from __future__ import annotations

import io
import warnings

import torch
from torch import Tensor, nn

from training.export import OPSET
from training.frontend import LocalLevel, LogMel

LAYERS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (1024, 2),
    (1024, 1),
)
"""(channels out, stride) of each depthwise-separable layer (Howard et al. 2017; YAMNet)."""


class MobileNetV1(nn.Module):
    """(batch, 1, 96 frames, 64 mels) -> (batch, 521); batch norm folded, as at inference."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(1, 32, 3, 2, 1), nn.ReLU()]
        channels = 32
        for out, stride in LAYERS:
            layers += [nn.Conv2d(channels, channels, 3, stride, 1, groups=channels), nn.ReLU()]
            layers += [nn.Conv2d(channels, out, 1), nn.ReLU()]
            channels = out
        self.body = nn.Sequential(*layers)
        self.classes = nn.Linear(channels, 521)

    def forward(self, patches: Tensor) -> Tensor:
        return self.classes(self.body(patches).mean(dim=(2, 3)))


def yamnet_patches(seconds: int) -> Tensor:
    """As many as YAMNet looks at: 0.96 s each, one every 0.48 s; (n_patches, 1, 96, 64)."""
    return torch.randn(
        1 + int((seconds - 0.96) / 0.48), 1, 96, 64, generator=torch.Generator().manual_seed(0)
    )


def front_end() -> nn.Module:
    """(batch, n_samples) -> level-free log-mel (batch, 64, n_samples // 160), as the gate begins."""
    return nn.Sequential(LogMel(), LocalLevel()).eval()


def to_onnx(module: nn.Module, example: Tensor) -> bytes:
    """A graph of one ``input`` of this shape, by the exporter that ``training.export`` uses."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as there: the tracing exporter is deprecated but better here
        torch.onnx.export(
            module, (example,), buffer, input_names=["input"], opset_version=OPSET, dynamo=False
        )
    return buffer.getvalue()
