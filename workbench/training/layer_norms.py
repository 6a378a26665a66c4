"""`training.gradient_health.norm_tracking`: the gradient norm of every layer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import torch

from workbench.training.optim.shards import whole

if TYPE_CHECKING:
    from torch import nn

_BLOCK = re.compile(r"^(.*?\.\d+)\.")


def layer_norms(model: nn.Module) -> dict[str, float]:
    """The 2-norm of the gradient of each block, and of each parameter outside of the blocks.

    All processes call it together. Empty where gradients are not with the parameters (DeepSpeed).

    Returns:
        By metric name: ``grad_norm.blocks.0`` and so on, in the order of the model.
    """
    found: dict[str, list[torch.Tensor]] = {}
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            match = _BLOCK.match(name)
            layer = match[1] if match else name.removesuffix(".weight")
            norm = torch.linalg.vector_norm(parameter.grad, dtype=torch.float32)
            found.setdefault(f"grad_norm.{layer}", []).append(whole(norm))
    if not found:
        return {}
    norms = torch.stack([torch.linalg.vector_norm(torch.stack(each)) for each in found.values()])
    return dict(zip(found, norms.tolist(), strict=True))
