"""Weights that are spread over devices (DTensors): the little that rules need to know of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.distributed.tensor import DTensor, Replicate

if TYPE_CHECKING:
    import torch


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """A plain tensor with all of it, on every device; a plain tensor itself."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def copied_like(tensor: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
    """What every device has in full, as something that can meet the parameter in an operation."""
    if not isinstance(parameter, DTensor) or isinstance(tensor, DTensor):
        return tensor
    mesh = parameter.device_mesh
    return DTensor.from_local(tensor, mesh, [Replicate()] * mesh.ndim, run_check=False)


def spread_like(tensor: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
    """What every device has in full, cut over the devices as the parameter is."""
    copies = copied_like(tensor, parameter)
    if not isinstance(parameter, DTensor) or not isinstance(copies, DTensor):
        return tensor
    return copies.redistribute(placements=parameter.placements)


def local(tensor: torch.Tensor) -> torch.Tensor:
    """This device's part."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor
