"""One training run in several processes, started by ``torchrun``; gloo between them.

    torchrun --nproc-per-node 2 -m training.pipeline

Every process draws and augments the same batch from the same seeds, runs the network on its share of it,
gathers what all shares gave and takes the loss of the whole batch. Batch norm's statistics are those of the
whole batch and gradients are averaged, so the weights are those of one process but for rounding, which
bfloat16 and batch norms amplify. Stages that do not train networks run in the first process, while the others
wait. Without ``torchrun`` everything here does nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from cough import errors

WAIT = timedelta(hours=12)
"""How long the others wait for a stage of the first process."""


class UnevenShares(errors.CoughError):
    """A batch has no equal parts for so many processes."""

    code = "uneven_shares"


def size() -> int:
    """Processes in the run; joins them at its first call."""
    n = int(os.environ.get("WORLD_SIZE", "1"))
    if n > 1 and not dist.is_initialized():
        dist.init_process_group("gloo", timeout=WAIT)
    return n


def rank() -> int:
    """Which of them this is; 0 writes what is kept."""
    return dist.get_rank() if size() > 1 else 0


def leave() -> None:
    """Part from the others at the end of the run, or in a process that works alone."""
    if dist.is_initialized():
        dist.destroy_process_group()
    os.environ.pop("WORLD_SIZE", None)


def wait() -> None:
    """Until all are here."""
    if size() > 1:
        dist.barrier()


def agreed(answer: bool) -> bool:
    """The first process' answer, for all."""
    if size() == 1:
        return answer
    said = torch.tensor([float(answer)])
    dist.broadcast(said, 0)
    return bool(said.item())


def share(batch: Tensor) -> Tensor:
    """This process' part of a batch; (n, ...) -> (n / size, ...).

    Raises
    ------
    UnevenShares : n is no multiple of the number of processes
    """
    check_shares(len(batch))
    return batch if size() == 1 else batch.chunk(size())[rank()]


def check_shares(*batch_sizes: int) -> None:
    """Whether batches of these sizes can be shared.

    Raises
    ------
    UnevenShares : one is no multiple of the number of processes
    """
    for n in batch_sizes:
        if n % size():
            raise UnevenShares(f"A batch of {n} cannot be shared by {size()} processes.")


def gather(part: Tensor) -> Tensor:
    """All parts in order, as one batch that gradients flow back through."""
    return part if size() == 1 else _Gather.apply(part)


def average_gradients(parameters: Iterable[Tensor]) -> None:
    """Over the processes, in place."""
    n = size()
    if n == 1:
        return
    for parameter in parameters:
        if parameter.grad is not None:
            dist.all_reduce(parameter.grad)
            parameter.grad /= n


def share_norms(network: nn.Module) -> None:
    """Batch norms of the network take the statistics of the whole batch."""
    if size() == 1:
        return
    for module in network.modules():
        if type(module) in _WHOLE:
            module.__class__ = _WHOLE[type(module)]


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, part: Tensor) -> Tensor:
        parts = [torch.empty_like(part) for _ in range(size())]
        dist.all_gather(parts, part.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        return _summed(gradient).chunk(size())[rank()]


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        return _summed(x)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        return _summed(gradient)


def _summed(x: Tensor) -> Tensor:
    out = x.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(out)
    return out


def _whole_batch_norm(module: Any, x: Tensor) -> Tensor:
    """Ioffe and Szegedy 2015, over the shares of all processes, in float32."""
    wide = x.float()
    axes = [axis for axis in range(x.dim()) if axis != 1]
    n = x.numel() / x.shape[1] * size()
    moments = torch.stack([wide.sum(axes), wide.square().sum(axes)]) / n
    mean, square = _Sum.apply(moments)
    variance = square - mean.square()
    with torch.no_grad():
        module.num_batches_tracked += 1
        module.running_mean.lerp_(mean, module.momentum)
        module.running_var.lerp_(variance * (n / (n - 1)), module.momentum)
    shape = [1, -1] + [1] * (x.dim() - 2)
    scale = module.weight * (variance + module.eps).rsqrt()
    return ((wide - mean.view(shape)) * scale.view(shape) + module.bias.view(shape)).to(x.dtype)


class _WholeBatchNorm1d(nn.BatchNorm1d):
    def forward(self, x: Tensor) -> Tensor:
        return _whole_batch_norm(self, x) if self.training else super().forward(x)


class _WholeBatchNorm2d(nn.BatchNorm2d):
    def forward(self, x: Tensor) -> Tensor:
        return _whole_batch_norm(self, x) if self.training else super().forward(x)


_WHOLE: dict[type, type] = {nn.BatchNorm1d: _WholeBatchNorm1d, nn.BatchNorm2d: _WholeBatchNorm2d}
