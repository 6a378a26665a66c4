from __future__ import annotations

import pytest
import torch
from torch import nn

from workbench.training.engines import host


def test_large_activations_wait_on_the_host_and_weights_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moved: list[int] = []
    to_host = host._to_host

    def counting(tensor: torch.Tensor) -> object:
        packed = to_host(tensor)
        if packed is not tensor:
            moved.append(tensor.numel())
        return packed

    monkeypatch.setattr(host, "_to_host", counting)
    layer = nn.Linear(128, 256)
    x = torch.randn(512, 128, requires_grad=True)
    small = torch.randn(2, 128)
    plain = layer(x.tanh()).square().sum()
    plain.backward()
    gradient = layer.weight.grad.clone()  # type: ignore[union-attr]
    layer.zero_grad()
    with host.kept_on_host():
        loss = layer(x.tanh()).square().sum()
        layer(small.tanh()).sum()
    assert moved, "activations have moved"
    assert layer.weight.numel() not in moved
    assert all(4 * count >= 2**16 for count in moved)
    loss.backward()
    assert layer.weight.grad is not None
    assert torch.equal(layer.weight.grad, gradient)


def test_what_repeats_itself_is_moved_once() -> None:
    mask = torch.randn(1, 1, 256, 256)
    every = mask.expand(4, 8, 256, 256)
    packed = host._to_host(every)
    assert isinstance(packed, tuple)
    assert packed[-1].nbytes == mask.nbytes
    assert torch.equal(host._back(packed), every)
    small = torch.randn(1, 8).expand(4096, 8)
    assert host._to_host(small) is small
