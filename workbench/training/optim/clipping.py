"""Limits on gradients, for fp32 ones and for bf16 ones of weights that are kept in 16 bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from workbench.training.optim.narrow import NarrowWeights

if TYPE_CHECKING:
    from collections.abc import Sequence


def total_norm(gradients: Sequence[torch.Tensor]) -> torch.Tensor:
    """The 2-norm over all gradients, in fp32."""
    if all(each.dtype == torch.float32 for each in gradients):
        norm: torch.Tensor = torch.nn.utils.get_total_norm(gradients)
        return norm
    norms = torch.stack([torch.linalg.vector_norm(each.float()) for each in gradients])
    whole: torch.Tensor = torch.linalg.vector_norm(norms)
    return whole


def clip_norm(
    optimizer: torch.optim.Optimizer,
    gradients: Sequence[torch.Tensor],
    max_norm: float,
    norm: torch.Tensor,
) -> None:
    """Scale gradients down to a norm of ``max_norm``; smaller ones stay as they are.

    Args:
        optimizer: Who takes the gradients.
        gradients: What of them is on this device.
        max_norm: The limit.
        norm: The norm of all of them, on all devices.
    """
    scale = (max_norm / (norm + 1e-6)).clamp(max=1.0)
    if isinstance(optimizer, NarrowWeights):
        optimizer.gradient_scale = scale
    elif gradients:
        # Multiplying by 1.0 costs less than asking the device whether it is.
        torch._foreach_mul_(list(gradients), scale.to(gradients[0].device))


def clip_values(
    optimizer: torch.optim.Optimizer, gradients: Sequence[torch.Tensor], largest: float
) -> None:
    """Clip each single gradient to plus or minus ``largest``, after ``clip_norm``."""
    if isinstance(optimizer, NarrowWeights):
        optimizer.largest_gradient = largest
    else:
        for each in gradients:
            each.clamp_(-largest, largest)
