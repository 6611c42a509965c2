"""The two networks that are trained: the gate (frames) and the encoder (windows).

Both are depthwise-separable 2-D convolutions over log-mel frames, MobileNet-like, sized for one
CPU thread on a phone or a small server.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from training.frontend import FRAME_S, LocalLevel, LogMel

STRIDE_FRAMES = 4
GATE_HOP_S = STRIDE_FRAMES * FRAME_S


class Depthwise(nn.Conv2d):
    """A 3x3 filter a channel, no bias until a batch norm is folded into it.

    In training on a processor a strided one filters every place and keeps some: the same numbers and
    gradients, but torch's gradient of a strided depthwise convolution takes ten times as long there.
    """

    def __init__(self, channels: int, *, stride: tuple[int, int] = (1, 1)) -> None:
        super().__init__(channels, channels, 3, stride, 1, groups=channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.stride == (1, 1) or x.device.type != "cpu":
            return super().forward(x)
        whole = nn.functional.conv2d(x, self.weight, self.bias, 1, self.padding, groups=self.groups)
        # Whole again: what follows is slow on a view with gaps.
        return whole[:, :, :: self.stride[0], :: self.stride[1]].contiguous(memory_format=torch.channels_last)


class Separable(nn.Module):
    """Depthwise 3x3, pointwise, batch norm, ReLU; residual where shapes allow."""

    def __init__(self, channels_in: int, channels_out: int, *, stride: tuple[int, int] = (1, 1)) -> None:
        super().__init__()
        self.residual = channels_in == channels_out and stride == (1, 1)
        self.layers = nn.Sequential(
            Depthwise(channels_in, stride=stride),
            nn.BatchNorm2d(channels_in),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels_in, channels_out, 1, bias=False),
            nn.BatchNorm2d(channels_out),
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.layers(x)
        return torch.relu(x + y) if self.residual else torch.relu(y)


class Temporal(nn.Module):
    """Dilated depthwise convolution over time with a pointwise mix; always residual."""

    def __init__(self, channels: int, *, kernel: int, dilation: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(
                channels,
                channels,
                kernel,
                padding=(kernel - 1) // 2 * dilation,
                dilation=dilation,
                groups=channels,
                bias=False,
            ),
            nn.BatchNorm1d(channels),
            nn.ReLU(inplace=True),
            nn.Conv1d(channels, channels, 1, bias=False),
            nn.BatchNorm1d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.layers(x))


class Trunk(nn.Module):
    """(batch, 64 mels, n_frames) level-free log-mel -> (batch, width_out, n_frames // 4)."""

    def __init__(self, *, width: int, width_out: int, n_mels: int = 64) -> None:
        super().__init__()
        w = width
        self.stem = nn.Sequential(
            nn.Conv2d(1, w, (5, 3), (2, 2), (2, 1), bias=False), nn.BatchNorm2d(w), nn.ReLU(inplace=True)
        )
        self.blocks = nn.Sequential(
            Separable(w, 2 * w, stride=(2, 1)),
            Separable(2 * w, 3 * w, stride=(1, 2)),
            Separable(3 * w, 3 * w),
            Separable(3 * w, 4 * w, stride=(2, 1)),
            Separable(4 * w, 4 * w),
            Separable(4 * w, 6 * w, stride=(2, 1)),
            Separable(6 * w, 6 * w),
        )
        self.flatten = nn.Sequential(
            nn.Conv1d(6 * w * (n_mels // 16), width_out, 1, bias=False),
            nn.BatchNorm1d(width_out),
            nn.ReLU(inplace=True),
        )

    def forward(self, features: Tensor) -> Tensor:
        x = self.blocks(self.stem(features[:, None]))
        return self.flatten(x.flatten(1, 2))


class GateNetwork(nn.Module):
    """Raw waveform to a cough logit every 40 ms.

    The teacher heads exist for training only; the exported graph ends at ``frame_logits``.
    """

    def __init__(self, *, width: int, width_out: int, n_teacher_classes: int, embedding_size: int) -> None:
        super().__init__()
        self.mel = LogMel()
        self.level = LocalLevel()
        self.trunk = Trunk(width=width, width_out=width_out)
        self.temporal = nn.Sequential(
            Temporal(width_out, kernel=5, dilation=1), Temporal(width_out, kernel=5, dilation=2)
        )
        self.cough = nn.Conv1d(width_out, 1, 1)
        self.teacher_logits = nn.Linear(2 * width_out, n_teacher_classes)
        self.teacher_embedding = nn.Linear(2 * width_out, embedding_size)

    def features(self, wave: Tensor) -> Tensor:
        """(batch, n_samples) -> level-free log-mel (batch, 64, n_samples // 160)."""
        return self.level(self.mel.by_fft(wave) if self.training else self.mel(wave))

    def frames(self, features: Tensor) -> Tensor:
        """Level-free log-mel -> hidden frames (batch, width_out, n_samples // 640)."""
        return self.temporal(self.trunk(features))

    def forward(self, wave: Tensor) -> Tensor:
        """(batch, n_samples) -> cough logits (batch, n_samples // 640), one per 40 ms."""
        return self.cough(self.frames(self.features(wave)))[:, 0]

    def context_s(self) -> float:
        """Seconds of input either side of a frame that can change its logit (an upper bound)."""
        return self.level.reach * FRAME_S + self.edge_s()

    def edge_s(self) -> float:
        """The same for digital silence before or after a recording (an upper bound).

        Less, because silence is never the loudest frame that ``LocalLevel`` looks for, and is 0 to the
        convolutions however loud the sound beside it is.
        """
        conv_frames = 1 + 2 + 2 + 4 * 5 + 4 * (2 + 4)  # stem, blocks at 20 and 40 ms, temporal
        return conv_frames * FRAME_S + 0.032


class GateEnsemble(nn.Module):
    """Gates trained from different seeds that listen to one front end; their mean logit.

    Which sounds of a corpus it never heard a small gate takes for coughs depends on its seed more than
    on anything else in the recipe; the mean of several depends on it less (deep ensembles,
    Lakshminarayanan et al. 2017).
    """

    def __init__(self, members: Sequence[GateNetwork]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, wave: Tensor) -> Tensor:
        """(batch, n_samples) -> cough logits (batch, n_samples // 640), one per 40 ms."""
        features = self.members[0].features(wave)
        logits = [member.cough(member.frames(features))[:, 0] for member in self.members]
        return torch.stack(logits).mean(dim=0)

    def context_s(self) -> float:
        """Seconds of input either side of a frame that can change its logit (an upper bound)."""
        return max(member.context_s() for member in self.members)

    def edge_s(self) -> float:
        """The same for digital silence before or after a recording (an upper bound)."""
        return max(member.edge_s() for member in self.members)


class EncoderNetwork(nn.Module):
    """Raw 1 s window to an embedding of unit length.

    The teacher heads exist for training only; the exported graph ends at the embedding.
    """

    def __init__(self, *, width: int, embedding_size: int, n_teacher_classes: int, teacher_size: int) -> None:
        super().__init__()
        width_out = 8 * width
        self.mel = LogMel()
        self.level = LocalLevel()
        self.trunk = Trunk(width=width, width_out=width_out)
        self.temporal = Temporal(width_out, kernel=5, dilation=1)
        self.project = nn.Linear(2 * width_out, embedding_size)
        self.teacher_embedding = nn.Linear(embedding_size, teacher_size)
        self.teacher_logits = nn.Linear(embedding_size, n_teacher_classes)

    def features(self, wave: Tensor) -> Tensor:
        """(batch, n_samples) -> level-free log-mel (batch, 64, n_samples // 160)."""
        return self.level(self.mel.by_fft(wave) if self.training else self.mel(wave))

    def embed(self, features: Tensor) -> Tensor:
        """Level-free log-mel -> (batch, embedding_size), rows of unit length."""
        hidden = self.temporal(self.trunk(features))
        pooled = torch.cat([hidden.mean(dim=2), hidden.amax(dim=2)], dim=1)
        return nn.functional.normalize(self.project(pooled), dim=1)

    def forward(self, wave: Tensor) -> Tensor:
        """(batch, n_samples) -> (batch, embedding_size), rows of unit length."""
        return self.embed(self.features(wave))


def unfold_encoder(onnx_file: bytes) -> EncoderNetwork:
    """The encoder of a bundle as a network that can be trained further.

    Export has folded batch norm into the convolutions before it; so it is here, with identities in
    its place. Weights that export has quantised come out rounded. The teacher heads are not in the file
    and come out untrained.

    Raises
    ------
    ValueError : the file is not an export of ``EncoderNetwork``
    """
    graph = onnx.load_from_string(onnx_file).graph
    known = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and all(name in known for name in node.input):
            known[node.output[0]] = _dequantised(*(known[name] for name in node.input))
    layers = [
        [torch.tensor(known[name]) for name in node.input[1:] if name in known]
        for node in graph.node
        if node.op_type in ("Conv", "Gemm")
    ]
    layers = [layer for layer in layers if len(layer) == 2]
    if not layers or layers[-1][0].ndim != 2:
        raise ValueError("the encoder is not an export of EncoderNetwork")
    network = EncoderNetwork(
        width=len(layers[0][0]), embedding_size=len(layers[-1][0]), n_teacher_classes=1, teacher_size=1
    )
    _fold_norms(network)
    targets = [m for m in network.modules() if isinstance(m, nn.Conv1d | nn.Conv2d)] + [network.project]
    if [tuple(t.weight.shape) for t in targets] != [tuple(weight.shape) for weight, _ in layers]:
        raise ValueError("the encoder is not an export of EncoderNetwork")
    with torch.no_grad():
        for target, (weight, bias) in zip(targets, layers, strict=True):
            target.weight.copy_(weight)
            target.bias.copy_(bias)
    return network.eval()


def _dequantised(values: np.ndarray, scale: np.ndarray, zero: np.ndarray) -> np.ndarray:
    """Integers to float32, by one scale or one for each output channel."""
    shape = (-1, *[1] * (values.ndim - 1)) if scale.ndim else ()
    return ((values.astype(np.float32) - zero.reshape(shape)) * scale.reshape(shape)).astype(np.float32)


def _fold_norms(network: nn.Module) -> None:
    """A bias for every convolution that a batch norm follows, and nothing in the norm's place."""
    for block in [m for m in network.modules() if isinstance(m, nn.Sequential)]:
        for i in range(len(block) - 1):
            conv, norm = block[i], block[i + 1]
            if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d) and isinstance(conv, nn.Conv1d | nn.Conv2d):
                conv.bias = nn.Parameter(torch.zeros(conv.out_channels))
                block[i + 1] = nn.Identity()
