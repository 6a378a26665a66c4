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

_GATED = ("swiglu", "geglu")


def is_gated(config: ModelConfig) -> bool:
    """Whether the network has a gate, that is three matrices (arXiv 2002.05202)."""
    return config.hidden_act in _GATED


def activate(x: torch.Tensor, kind: str) -> torch.Tensor:
    """The function of ``model.hidden_act``; of a gated kind, that of its gate."""
    match kind:
        case "swiglu" | "silu":
            return F.silu(x)
        case "gelu_new":
            return F.gelu(x, approximate="tanh")
        case "relu":
            return F.relu(x)
        case "relu_squared":  # arXiv 2109.08668
            return F.relu(x).square()
        case _:
            return F.gelu(x)


class FeedForward(nn.Module):
    """``down(act(gate(x)) * up(x))`` with a gate, ``down(act(up(x)))`` without.

    Args:
        config: Width, kind and biases.
        inner_width: Inner width, where it is not the config's ``intermediate_size``.
    """

    def __init__(self, config: ModelConfig, inner_width: int | None = None) -> None:
        super().__init__()
        width, bias = config.hidden_size, config.mlp_bias
        inner = inner_width or config.intermediate_size
        self.kind = config.hidden_act
        self.gate_proj = Linear(width, inner, bias=bias) if is_gated(config) else None
        self.up_proj = Linear(width, inner, bias=bias)
        self.down_proj = Linear(inner, width, bias=bias)

    def forward(self, x_D: torch.Tensor) -> torch.Tensor:
        """Apply the network to each position on its own."""
        up_F = self.up_proj(x_D)
        if self.gate_proj is None:
            inner_F = activate(up_F, self.kind)
        else:
            inner_F = activate(self.gate_proj(x_D), self.kind) * up_F
        return self.down_proj(inner_F)  # type: ignore[no-any-return]
