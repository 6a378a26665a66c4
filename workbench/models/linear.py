"""The linear layer: an fp32 master weight, cast to the dtype of its input at the product.

There is no autocast anywhere in the models: the residual stream has the compute dtype, norms and
router say ``float()`` where they need it, and everything else follows its input.
"""

from __future__ import annotations

import torch
from ava_kernels import linear
from torch import nn


class Linear(nn.Module):
    """``y = x W^T (+ b)`` in the dtype of x.

    Args:
        in_features: Width of the input.
        out_features: Width of the output.
        bias: Whether to add a bias.
    """

    def __init__(self, in_features: int, out_features: int, *, bias: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.empty(out_features)) if bias else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(..., in_features)`` to ``(..., out_features)``."""
        bias = None if self.bias is None else self.bias.to(x.dtype)
        return linear(x, self.weight.to(x.dtype), bias)
