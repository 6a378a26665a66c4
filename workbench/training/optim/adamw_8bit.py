"""AdamW with its two moments in 8 bits (arXiv 2110.02861): 2 bytes of state instead of 8.

Each row of a matrix is cut into blocks of 256 numbers with a scale of their own. A number of a
block is one of 256 values between -1 and 1 (or 0 and 1) that lie the denser the smaller they are,
times the scale: dynamic tree quantisation, section 1.3.

Shapes: R rows (all dimensions but the last), C columns, N blocks of a row, K numbers of a block.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from workbench.training.optim.per_tensor import PerTensorOptimizer, adam_direction, count_step
from workbench.training.optim.shards import is_spread, local, spread_like

if TYPE_CHECKING:
    from workbench.training.optim.per_tensor import Group

BLOCK = 256
_DECADES = 7
_SMALL = 4096
"""Tensors with fewer numbers keep their moments in fp32 (section 2): they save nothing."""


class AdamW8bit(PerTensorOptimizer):
    """Moments are unpacked, updated in fp32 and packed again, one tensor at a time."""

    def update(
        self,
        parameter: torch.Tensor,
        gradient: torch.Tensor,
        state: dict[str, torch.Tensor],
        group: Group,
    ) -> None:
        """Move one tensor in place."""
        step = count_step(state)
        if parameter.numel() < _SMALL or parameter.dim() < 2:
            if "exp_avg" not in state:
                state["exp_avg"] = torch.zeros_like(parameter)
                state["exp_avg_sq"] = torch.zeros_like(parameter)
            self._move(parameter, gradient, state["exp_avg"], state["exp_avg_sq"], step, group)
            return
        # Blocks never leave their row, so a device can pack the rows that it has.
        mean = _unpacked(state, "exp_avg", parameter, signed=True)
        square = _unpacked(state, "exp_avg_sq", parameter, signed=False)
        self._move(local(parameter), local(gradient), mean, square, step, group)
        for name, moment, signed in (("exp_avg", mean, True), ("exp_avg_sq", square, False)):
            codes, scale = pack(moment, signed=signed)
            state[f"{name}_codes"] = _part(codes, parameter)
            state[f"{name}_scale"] = _part(scale, parameter)

    def _move(
        self,
        parameter: torch.Tensor,
        gradient: torch.Tensor,
        mean: torch.Tensor,
        square: torch.Tensor,
        step: int,
        group: Group,
    ) -> None:
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        update = adam_direction(
            gradient, mean, square, step=step, betas=group["betas"], eps=group["eps"]
        )
        parameter.add_(update, alpha=-group["lr"])


def pack(x: torch.Tensor, *, signed: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Round a tensor to 8 bits.

    Args:
        x: A tensor ``(..., C)``.
        signed: Whether it has negative numbers; without them steps are half as wide.

    Returns:
        Codes of the same shape (uint8) and scales ``(..., N)`` (fp32).
    """
    columns = x.shape[-1]
    blocks_RNK = _blocks(x)
    scale_RN = blocks_RNK.abs().amax(dim=-1)
    unit_RNK = blocks_RNK / scale_RN.clamp(min=torch.finfo(torch.float32).tiny).unsqueeze(-1)
    values = _values(signed=signed).to(x.device)
    middles = (values[1:] + values[:-1]) / 2
    codes = torch.bucketize(unit_RNK, middles, out_int32=True).to(torch.uint8)
    if not signed:
        # A squared gradient that is rounded to zero would divide the update by eps alone.
        codes.clamp_(min=1).masked_fill_(blocks_RNK == 0, 0)
    return codes.flatten(-2)[..., :columns].contiguous(), scale_RN


def unpack(codes: torch.Tensor, scale: torch.Tensor, *, signed: bool) -> torch.Tensor:
    """The fp32 numbers that codes and scales of ``pack`` stand for."""
    columns = codes.shape[-1]
    unit = _values(signed=signed).to(codes.device)[codes.int()]
    wide = (_blocks(unit) * scale.unsqueeze(-1)).flatten(-2)
    return wide[..., :columns].contiguous()


def _blocks(x: torch.Tensor) -> torch.Tensor:
    """Rows cut into blocks ``(..., N, K)``, the last one filled up with zeros."""
    padded = F.pad(x, (0, -x.shape[-1] % BLOCK))
    return padded.reshape(*x.shape[:-1], -1, BLOCK)


@lru_cache(maxsize=2)
def _values(*, signed: bool) -> torch.Tensor:
    """The 256 numbers that a code can stand for, in rising order.

    The decade of 10^-i has half as many values as the one above it: with few of them the size is
    known roughly, with many of them the number is known well.
    """
    found = [0.0, 1.0]
    for decade in range(_DECADES):
        count = 2**decade if signed else 2 ** (decade + 1)
        edges = torch.linspace(0.1, 1.0, count + 1, dtype=torch.float64)
        middles = (edges[1:] + edges[:-1]) / 2 * 10.0 ** (decade - _DECADES + 1)
        found += middles.tolist()
        if signed:
            found += (-middles).tolist()
    return torch.tensor(sorted(found), dtype=torch.float32)


def _part(rows: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
    """What was computed from this device's rows, as a part of the whole."""
    if not is_spread(parameter):
        return rows
    from torch.distributed.tensor import DTensor

    shape = torch.Size((*parameter.shape[:-1], rows.shape[-1]))
    return DTensor.from_local(
        rows,
        parameter.device_mesh,
        parameter.placements,
        run_check=False,
        shape=shape,
        stride=torch.empty(shape, device="meta").stride(),
    )


def _unpacked(
    state: dict[str, torch.Tensor], name: str, parameter: torch.Tensor, *, signed: bool
) -> torch.Tensor:
    """This device's rows of a moment; zeros the first time."""
    if f"{name}_codes" not in state:
        return torch.zeros_like(local(parameter))
    codes, scale = state[f"{name}_codes"], state[f"{name}_scale"]
    if not is_spread(scale):  # a checkpoint has it whole
        scale = spread_like(scale, parameter)
    return unpack(local(codes), local(scale), signed=signed)
