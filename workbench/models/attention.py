"""Causal self-attention with grouped queries (arXiv 2305.13245).

Each group of H/G query heads shares one key head and one value head. G = H is ordinary multi-head
attention, G = 1 multi-query attention.

Shapes: B batch, T new positions, S positions in the cache, D width, H query heads, G key and value
heads, K head width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from workbench.models.linear import Linear
from workbench.models.rope import RotaryTable, rotate

if TYPE_CHECKING:
    from workbench.config.schema import ModelConfig


class KeyValueCache:
    """Keys and values of the positions that one layer has seen, for generation."""

    def __init__(self) -> None:
        self.k_BSGK: torch.Tensor | None = None
        self.v_BSGK: torch.Tensor | None = None

    def append(
        self, k_BTGK: torch.Tensor, v_BTGK: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Add the new positions and return all of them."""
        if self.k_BSGK is not None and self.v_BSGK is not None:
            k_BTGK = torch.cat((self.k_BSGK, k_BTGK), dim=1)
            v_BTGK = torch.cat((self.v_BSGK, v_BTGK), dim=1)
        self.k_BSGK, self.v_BSGK = k_BTGK, v_BTGK
        return k_BTGK, v_BTGK


def head_width(config: ModelConfig) -> int:
    """Width of one head: ``head_dim``, or its share of ``hidden_size``.

    Raises:
        ValueError: The heads do not fit together.
    """
    heads, groups = config.num_attention_heads, config.num_key_value_heads
    if config.head_dim is None and config.hidden_size % heads:
        raise ValueError(
            f"model.hidden_size {config.hidden_size} cannot be shared by "
            f"model.num_attention_heads {heads}: it must be a multiple"
        )
    width = config.head_dim or config.hidden_size // heads
    if width % 2:
        raise ValueError(f"the head width {width} must be even: rotary positions turn pairs")
    if groups is not None and heads % groups:
        raise ValueError(
            f"model.num_attention_heads {heads} must be a multiple of "
            f"model.num_key_value_heads {groups}"
        )
    return width


class Attention(nn.Module):
    """Every position looks at itself and the positions before it."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.head_dim = head_width(config)
        self.heads = config.num_attention_heads
        self.groups = config.num_key_value_heads or self.heads
        self.dropout = config.attention_dropout
        width, bias = config.hidden_size, config.attention_bias
        self.q_proj = Linear(width, self.heads * self.head_dim, bias=bias)
        self.k_proj = Linear(width, self.groups * self.head_dim, bias=bias)
        self.v_proj = Linear(width, self.groups * self.head_dim, bias=bias)
        self.o_proj = Linear(self.heads * self.head_dim, width, bias=bias)

    def forward(
        self, x_BTD: torch.Tensor, rotary: RotaryTable, cache: KeyValueCache | None = None
    ) -> torch.Tensor:
        """Attend; with a cache, also to the positions it holds."""
        batch, length, _ = x_BTD.shape
        q_BTHK = rotate(self.q_proj(x_BTD).view(batch, length, self.heads, -1), rotary)
        k_BTGK = rotate(self.k_proj(x_BTD).view(batch, length, self.groups, -1), rotary)
        v_BTGK = self.v_proj(x_BTD).view(batch, length, self.groups, -1)
        if cache is not None:
            # One new position may see all of the cache, many only an empty one.
            assert length == 1 or cache.k_BSGK is None
            k_BTGK, v_BTGK = cache.append(k_BTGK, v_BTGK)
        y_BHTK = F.scaled_dot_product_attention(
            q_BTHK.transpose(1, 2),
            k_BTGK.transpose(1, 2),
            v_BTGK.transpose(1, 2),
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=length > 1,
            enable_gqa=self.groups != self.heads,
        )
        return self.o_proj(y_BHTK.transpose(1, 2).reshape(batch, length, -1))  # type: ignore[no-any-return]
