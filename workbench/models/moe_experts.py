"""The experts of a mixture: feed-forward networks whose rows stand sorted by expert.

Shapes: T tokens, D width, F inner width, E experts, K choices of a token, S = T*K slots, R slots
that go to an expert.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from ava_kernels import grouped_matmul, grouped_swiglu
from torch import nn

from workbench.models.feed_forward import activate, is_gated

if TYPE_CHECKING:
    from workbench.config.schema import ModelConfig


class Experts(nn.Module):
    """E feed-forward networks; their matrices are stacked, applied to rows sorted by expert."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        experts, width = config.num_experts, config.hidden_size
        inner = config.moe.expert_intermediate_size or config.intermediate_size
        gated, bias = is_gated(config), config.mlp_bias
        self.kind = config.hidden_act

        def matrix(out_width: int, in_width: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(experts, out_width, in_width))

        def vector(out_width: int) -> nn.Parameter | None:
            return nn.Parameter(torch.empty(experts, out_width)) if bias else None

        self.gate_proj = matrix(inner, width) if gated else None
        self.up_proj = matrix(inner, width)
        self.down_proj = matrix(width, inner)
        self.gate_bias = vector(inner) if gated else None
        self.up_bias = vector(inner)
        self.down_bias = vector(width)

    def forward(
        self, x_RD: torch.Tensor, expert_R: torch.Tensor, ends_E: torch.Tensor
    ) -> torch.Tensor:
        """Apply to each row its expert.

        Args:
            x_RD: Rows sorted by expert.
            expert_R: The expert of each row.
            ends_E: Where each expert's rows end, int32.
        """
        if self.gate_proj is not None and self.kind == "swiglu" and self.up_bias is None:
            return grouped_swiglu(
                x_RD, self.gate_proj, self.up_proj, self.down_proj, ends_E, rows=len(x_RD)
            )

        def project(
            x: torch.Tensor, weight: nn.Parameter, bias: nn.Parameter | None
        ) -> torch.Tensor:
            y = grouped_matmul(x, weight.to(x.dtype), ends_E, rows=len(x))
            return y if bias is None else y + F.embedding(expert_R, bias).to(x.dtype)

        up_RF = project(x_RD, self.up_proj, self.up_bias)
        if self.gate_proj is None:
            inner_RF = activate(up_RF, self.kind)
        else:
            inner_RF = activate(project(x_RD, self.gate_proj, self.gate_bias), self.kind) * up_RF
        return project(inner_RF, self.down_proj, self.down_bias)
