"""Rotary position embedding (RoFormer, arXiv 2104.09864, section 3.2).

A head's features are taken in pairs (i, i + K/2); at position t each pair turns by the angle
t * theta^(-2i/K). The product of a turned query and a turned key then depends on their distance
only. Pairing the two halves, not neighbours, is the layout of Llama checkpoints.

Shapes: B batch, T positions, H heads, K head width.
"""

from __future__ import annotations

from typing import NamedTuple

import torch


class RotaryTable(NamedTuple):
    """Cosine and sine of every angle, fp32, ready to broadcast over batch and heads."""

    cos_T1K: torch.Tensor
    sin_T1K: torch.Tensor


def rotary_table(
    length: int, head_dim: int, theta: float, *, start: int = 0, device: torch.device | None = None
) -> RotaryTable:
    """The angles of ``length`` positions from ``start`` on.

    It is computed anew in each forward pass: cheaper than a matrix product by orders of magnitude,
    and a model without buffers can be built on the meta device.
    """
    pair_K2 = torch.arange(0, head_dim, 2, dtype=torch.float32, device=device)
    frequency_K2 = theta ** (-pair_K2 / head_dim)
    position_T = torch.arange(start, start + length, dtype=torch.float32, device=device)
    angle_TK2 = torch.outer(position_T, frequency_K2)
    angle_T1K = torch.cat((angle_TK2, angle_TK2), dim=-1)[:, None, :]
    return RotaryTable(angle_T1K.cos(), angle_T1K.sin())


def rotate(x_BTHK: torch.Tensor, table: RotaryTable) -> torch.Tensor:
    """Turn every pair of every head by its position's angle, in fp32."""
    x = x_BTHK.float()
    first, second = x.chunk(2, dim=-1)
    turned = x * table.cos_T1K + torch.cat((-second, first), dim=-1) * table.sin_T1K
    return turned.to(x_BTHK.dtype)
