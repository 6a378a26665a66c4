"""The feed-forward network of a dense block.

Shapes: D width, F inner width, any leading dimensions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from workbench.models.linear import Linear

if TYPE_CHECKING:
    from workbench.config.schema import ModelConfig


def is_gated(config: ModelConfig) -> bool:
    """Whether the network has a gate, that is three matrices.

    Raises:
        ValueError: The activation is not built.
    """
    if config.hidden_act not in {"swiglu", "gelu"}:
        raise ValueError(f"model.hidden_act {config.hidden_act} is not built: use swiglu or gelu")
    return config.hidden_act == "swiglu"


class FeedForward(nn.Module):
    """swiglu (arXiv 2002.05202): ``down(silu(gate(x)) * up(x))``; gelu: ``down(gelu(up(x)))``."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width, inner, bias = config.hidden_size, config.intermediate_size, config.mlp_bias
        gated = is_gated(config)
        self.gate_proj = Linear(width, inner, bias=bias) if gated else None
        self.up_proj = Linear(width, inner, bias=bias)
        self.down_proj = Linear(inner, width, bias=bias)

    def forward(self, x_D: torch.Tensor) -> torch.Tensor:
        """Apply the network to each position on its own."""
        up_F = self.up_proj(x_D)
        inner_F = F.gelu(up_F) if self.gate_proj is None else F.silu(self.gate_proj(x_D)) * up_F
        return self.down_proj(inner_F)  # type: ignore[no-any-return]
