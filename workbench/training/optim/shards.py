"""Weights that are spread over devices (DTensors): the little that rules need to know of them.

Their module takes a second or two to load, and who has loaded none has none: it is asked for only
where it is loaded already.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch.distributed.tensor import DTensor
    from typing_extensions import TypeIs


def is_spread(tensor: torch.Tensor) -> TypeIs[DTensor]:
    """Whether the tensor is a part of one on several devices."""
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """A plain tensor with all of it, on every device; a plain tensor itself."""
    return tensor.full_tensor() if is_spread(tensor) else tensor


def copied_like(tensor: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
    """What every device has in full, as something that can meet the parameter in an operation."""
    if not is_spread(parameter) or is_spread(tensor):
        return tensor
    from torch.distributed.tensor import DTensor, Replicate

    mesh = parameter.device_mesh
    return DTensor.from_local(tensor, mesh, [Replicate()] * mesh.ndim, run_check=False)


def spread_like(tensor: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
    """What every device has in full, cut over the devices as the parameter is."""
    copies = copied_like(tensor, parameter)
    if not is_spread(parameter) or not is_spread(copies):
        return tensor
    return copies.redistribute(placements=parameter.placements)


def local(tensor: torch.Tensor) -> torch.Tensor:
    """This device's part."""
    return tensor.to_local() if is_spread(tensor) else tensor


def part_of(tensor: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
    """This device's part of something that is cut over the devices as the parameter is."""
    if not is_spread(parameter):
        return tensor
    from torch.distributed.tensor import DTensor

    return DTensor.from_local(
        tensor,
        parameter.device_mesh,
        parameter.placements,
        run_check=False,
        shape=parameter.shape,
        stride=parameter.stride(),
    )
