"""Activations that wait for the backward pass in host memory."""

from __future__ import annotations

import torch
from torch import nn

_WORTH_MOVING = 2**16
"""Bytes: a smaller tensor costs more time on its way than it saves."""

_Packed = tuple[torch.device, torch.Size, torch.Tensor] | torch.Tensor


def kept_on_host() -> torch.autograd.graph.saved_tensors_hooks:
    """While it is open, what a forward pass keeps goes to host memory, all but weights.

    With blocks recomputed that is their inputs; without, everything between them too.
    """
    return torch.autograd.graph.saved_tensors_hooks(_to_host, _back)


def _to_host(tensor: torch.Tensor) -> _Packed:
    once = _once(tensor)
    if _stays(tensor, once):
        return tensor
    return tensor.device, tensor.shape, _copied(once)


def _back(packed: _Packed) -> torch.Tensor:
    if isinstance(packed, torch.Tensor):
        return packed
    device, shape, host = packed
    found = _fetched(host, device)
    return found if found.shape == shape else found.expand(shape)


def _once(tensor: torch.Tensor) -> torch.Tensor:
    """What is in memory of a tensor that repeats itself, as a mask that all heads share."""
    for dim, stride in enumerate(tensor.stride()):
        if stride == 0 and tensor.shape[dim] > 1:
            tensor = tensor.narrow(dim, 0, 1)
    return tensor


def _stays(tensor: torch.Tensor, once: torch.Tensor) -> bool:
    """Whether what a forward pass keeps is a weight, or too small to be moved."""
    weight = isinstance(tensor._base if tensor._is_view() else tensor, nn.Parameter)  # noqa: SLF001
    return weight or once.nbytes < _WORTH_MOVING


def _copied(tensor: torch.Tensor) -> torch.Tensor:
    """A copy in host memory."""
    if tensor.device.type != "cuda":
        return tensor.clone()
    # Pinned memory is what a GPU can reach by itself. Both ways are in the order of the stream, so
    # the memory that is freed here is not taken before it has been read.
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    host.copy_(tensor, non_blocking=True)
    return host


def _fetched(host: torch.Tensor, device: torch.device) -> torch.Tensor:
    return host.to(device, non_blocking=True)
