"""A MobileNetV1 body of YAMNet's size with random weights: what a usual detector costs."""

from __future__ import annotations

from torch import Tensor, nn

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
