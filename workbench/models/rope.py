"""Rotary position embedding (RoFormer, arXiv 2104.09864, section 3.2).

A head's features are taken in pairs; at position t the pair i turns by the angle
t * theta^(-2i/R). The product of a turned query and a turned key then depends on their distance
only. A pair is (i, i + R/2), the layout of Llama checkpoints, or two neighbours, that of GPT-J. R
is the width of a head, K, or less: the features beyond R know no position.

Shapes: B batch, T positions, H heads, K head width, R turned width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from workbench.models.rope_scaling import frequencies

if TYPE_CHECKING:
    from workbench.config.schema.model.rope_scaling import RopeScalingConfig


class RotaryTable(NamedTuple):
    """Cosine and sine of every angle, fp32, ready to broadcast over batch and heads."""

    cos_T1R: torch.Tensor
    sin_T1R: torch.Tensor
    interleaved: bool = False


def rotary_table(
    length: int,
    width: int,
    theta: float,
    *,
    start: int = 0,
    interleaved: bool = False,
    scaling: RopeScalingConfig | None = None,
    trained_length: int = 0,
    device: torch.device | None = None,
) -> RotaryTable:
    """The angles of ``length`` positions from ``start`` on.

    It is computed anew in each forward pass: cheaper than a matrix product by orders of magnitude,
    and a model without buffers can be built on the meta device.

    Args:
        length: Positions.
        width: How many features of a head turn.
        theta: Base of the angles.
        start: The first position.
        interleaved: Whether neighbours are a pair.
        scaling: How the angles are stretched over longer sequences.
        trained_length: Sequence length that the model was first trained for, for ``scaling``.
        device: Where to.
    """
    frequency_P, magnitude = frequencies(
        width, theta, scaling, trained_length, length=start + length, device=device
    )
    position_T = torch.arange(start, start + length, dtype=torch.float32, device=device)
    angle_TP = torch.outer(position_T, frequency_P)
    angle_T1R = (
        angle_TP.repeat_interleave(2, dim=-1)
        if interleaved
        else torch.cat((angle_TP, angle_TP), dim=-1)
    )[:, None, :]
    return RotaryTable(angle_T1R.cos() * magnitude, angle_T1R.sin() * magnitude, interleaved)


def rotate(x_BTHK: torch.Tensor, table: RotaryTable) -> torch.Tensor:
    """Turn every pair of every head by its position's angle, in fp32."""
    width = table.cos_T1R.shape[-1]
    if width < x_BTHK.shape[-1]:
        turned = rotate(x_BTHK[..., :width], table)
        return torch.cat((turned, x_BTHK[..., width:]), dim=-1)
    x = x_BTHK.float()
    if table.interleaved:
        quarter = torch.stack((-x[..., 1::2], x[..., ::2]), dim=-1).flatten(-2)
    else:
        first, second = x.chunk(2, dim=-1)
        quarter = torch.cat((-second, first), dim=-1)
    return (x * table.cos_T1R + quarter * table.sin_T1R).to(x_BTHK.dtype)
