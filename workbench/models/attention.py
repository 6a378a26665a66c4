"""Self-attention with grouped queries (arXiv 2305.13245).

Each group of H/G query heads shares one key head and one value head. G = H is ordinary multi-head
attention, G = 1 multi-query attention.

Shapes: B batch, T new positions, S positions in the cache, D width, H query heads, G key and value
heads, K head width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn

from workbench.models.attend import attend
from workbench.models.linear import Linear
from workbench.models.norm import RMSNorm
from workbench.models.rope import RotaryTable, rotate
from workbench.models.sight import CAUSAL, Sight

if TYPE_CHECKING:
    from workbench.config.schema import ModelConfig


class Where(NamedTuple):
    """What every layer has to know about the positions at hand."""

    rotary: RotaryTable | None = None
    """None where the order is told in another way."""
    sight: Sight = CAUSAL
    present_BT: torch.Tensor | None = None
    """False for padding; None: there is none."""


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
    if groups is not None and heads % groups:
        raise ValueError(
            f"model.num_attention_heads {heads} must be a multiple of "
            f"model.num_key_value_heads {groups}"
        )
    return config.head_dim or config.hidden_size // heads


def rotary_width(config: ModelConfig) -> int:
    """How many features of each head the rotary positions turn.

    Raises:
        ValueError: They do not form pairs.
    """
    width = int(head_width(config) * config.partial_rotary_factor)
    if width % 2 or not width:
        part = "" if config.partial_rotary_factor == 1 else " times model.partial_rotary_factor"
        raise ValueError(
            f"the head width{part}, {width}, must be even: rotary positions turn pairs"
        )
    return width


class Attention(nn.Module):
    """Every position looks at those that it may see."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.head_dim = head_width(config)
        self.heads = config.num_attention_heads
        self.groups = config.num_key_value_heads or self.heads
        self.dropout = config.attention_dropout
        self.implementation = config.attention_implementation
        width, bias, out_bias = (
            config.hidden_size,
            config.attention_bias,
            config.attention_out_bias,
        )
        self.q_proj = Linear(width, self.heads * self.head_dim, bias=bias)
        self.k_proj = Linear(width, self.groups * self.head_dim, bias=bias)
        self.v_proj = Linear(width, self.groups * self.head_dim, bias=bias)
        self.o_proj = Linear(
            self.heads * self.head_dim, width, bias=bias if out_bias is None else out_bias
        )
        norms = config.qk_norm
        self.q_norm = RMSNorm(self.head_dim, config.layer_norm_eps) if norms else None
        self.k_norm = RMSNorm(self.head_dim, config.layer_norm_eps) if norms else None

    def forward(
        self, x_BTD: torch.Tensor, where: Where, cache: KeyValueCache | None = None
    ) -> torch.Tensor:
        """Attend; with a cache, also to the positions it holds."""
        batch, length, _ = x_BTD.shape
        q_BTHK = self.q_proj(x_BTD).view(batch, length, self.heads, -1)
        k_BTGK = self.k_proj(x_BTD).view(batch, length, self.groups, -1)
        v_BTGK = self.v_proj(x_BTD).view(batch, length, self.groups, -1)
        if self.q_norm is not None and self.k_norm is not None:
            q_BTHK, k_BTGK = self.q_norm(q_BTHK), self.k_norm(k_BTGK)
        if where.rotary is not None:
            q_BTHK, k_BTGK = rotate(q_BTHK, where.rotary), rotate(k_BTGK, where.rotary)
        if cache is not None:
            k_BTGK, v_BTGK = cache.append(k_BTGK, v_BTGK)
        y_BTHK = attend(
            q_BTHK,
            k_BTGK,
            v_BTGK,
            where.sight,
            dropout=self.dropout if self.training else 0.0,
            implementation=self.implementation,
        )
        return self.o_proj(y_BTHK.reshape(batch, length, -1))  # type: ignore[no-any-return]
