"""Strided filters: in training computed another way, with the same numbers and gradients."""

from __future__ import annotations

import pytest
import torch

from training.networks import Depthwise


@pytest.mark.parametrize("stride", [(1, 1), (2, 1), (1, 2), (2, 2)])
@pytest.mark.parametrize("shape", [(2, 4, 8, 10), (1, 4, 7, 9), (1, 4, 1, 1)])
def test_training_filters_what_inference_filters(
    stride: tuple[int, int], shape: tuple[int, int, int, int]
) -> None:
    torch.manual_seed(0)
    filters = Depthwise(4, stride=stride).double()
    results = []
    for training in (True, False):
        filters.train(training)
        x = torch.linspace(-1, 1, 4 * shape[0] * shape[2] * shape[3], dtype=torch.float64)
        x = x.reshape(shape).requires_grad_()
        filters.zero_grad()
        y = filters(x)
        y.pow(3).sum().backward()
        assert x.grad is not None
        assert filters.weight.grad is not None
        results.append((y.detach(), x.grad, filters.weight.grad.clone()))
    for trained, inferred in zip(*results, strict=True):
        torch.testing.assert_close(trained, inferred)
