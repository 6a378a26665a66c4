"""Activations that wait for the backward pass in host memory."""

from __future__ import annotations

import torch
from torch import nn

_WORTH_MOVING = 2**16
"""Bytes: a smaller tensor costs more time on its way than it saves."""

_Packed = tuple[torch.device, torch.Tensor] | torch.Tensor


def kept_on_host() -> torch.autograd.graph.saved_tensors_hooks:
    """While it is open, what a forward pass keeps goes to host memory, all but weights.

    With blocks recomputed that is their inputs; without, everything between them too.
    """
    return torch.autograd.graph.saved_tensors_hooks(_to_host, _back)


def stays(tensor: torch.Tensor) -> bool:
    """Whether what a forward pass keeps is a weight, or too small to be moved."""
    weight = isinstance(tensor._base if tensor._is_view() else tensor, nn.Parameter)  # noqa: SLF001
    return weight or tensor.nbytes < _WORTH_MOVING


def _to_host(tensor: torch.Tensor) -> _Packed:
    if stays(tensor):
        return tensor
    if tensor.device.type != "cuda":
        return tensor.device, tensor.clone()
    # Pinned memory is what a GPU can reach by itself. Both ways are in the order of the stream, so
    # the memory that is freed here is not taken before it has been read.
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    host.copy_(tensor, non_blocking=True)
    return tensor.device, host


def _back(packed: _Packed) -> torch.Tensor:
    if isinstance(packed, torch.Tensor):
        return packed
    device, host = packed
    return host.to(device, non_blocking=True)
