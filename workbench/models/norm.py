"""Normalisation, computed in fp32 whatever the dtype of the residual stream.

Shapes: D width, any leading dimensions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

if TYPE_CHECKING:
    from workbench.config.schema import ModelConfig


class RMSNorm(nn.Module):
    """Root-mean-square norm (arXiv 1910.07467): scale to unit mean square, then by a weight."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.empty(width))

    def forward(self, x_D: torch.Tensor) -> torch.Tensor:
        """Normalise the last dimension."""
        y_D = F.rms_norm(x_D.float(), self.weight.shape, self.weight.float(), self.eps)
        return y_D.to(x_D.dtype)


class LayerNorm(nn.Module):
    """Layer norm (arXiv 1607.06450): also subtracts the mean and adds a bias."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.empty(width))
        self.bias = nn.Parameter(torch.empty(width))

    def forward(self, x_D: torch.Tensor) -> torch.Tensor:
        """Normalise the last dimension."""
        y_D = F.layer_norm(x_D.float(), self.weight.shape, self.weight, self.bias, self.eps)
        return y_D.to(x_D.dtype)


def make_norm(config: ModelConfig) -> nn.Module:
    """The norm that the config asks for, over the residual stream."""
    kind = RMSNorm if config.norm_type == "rmsnorm" else LayerNorm
    return kind(config.hidden_size, config.layer_norm_eps)
