"""`workbench.models.norm` on paper.

Shapes: any leading dimensions, the last is normalised.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.estimate.tape import ops
from workbench.estimate.tape.modules import enter, leave
from workbench.estimate.tape.tensor import Parameter

if TYPE_CHECKING:
    from workbench.estimate.network.structure import Structure
    from workbench.estimate.tape.tensor import Dim, Tape, Tensor


def rms_norm(tape: Tape, x: Tensor, name: str, width: Dim, *, fused: bool) -> Tensor:
    """Root-mean-square norm in fp32. CUDA has a kernel for it; a CPU takes it step by step."""
    (x,) = enter(tape, name, x)
    weight = Parameter(tape, f"{name}.weight", (width,))
    weight32 = ops.cast(tape, weight, 4, "fp32 weight of a norm")
    y = _rms_norm(tape, ops.cast(tape, x, 4, "fp32 input of a norm"), weight32, fused=fused)
    return leave(tape, name, ops.cast(tape, y, x.width, "norm"))[0]


def _rms_norm(tape: Tape, x: Tensor, weight: Tensor, *, fused: bool) -> Tensor:
    if fused:
        return ops.fused_norm(tape, x, weight, None, 1, "norm")
    rstd = ops.mean_square(tape, x)
    unit = ops.mul(tape, x, rstd, "unit rows of a norm")
    return ops.mul(tape, unit, weight, "norm")


def layer_norm(tape: Tape, x: Tensor, name: str, width: Dim) -> Tensor:
    """Layer norm in fp32: one kernel everywhere; it keeps mean and rstd."""
    (x,) = enter(tape, name, x)
    weight = Parameter(tape, f"{name}.weight", (width,))
    bias = Parameter(tape, f"{name}.bias", (width,))
    given = [ops.cast(tape, x, 4, "fp32 input of a norm")]  # which is let go once it was read
    weight32 = ops.cast(tape, weight, 4, "fp32 weight of a norm")
    bias32 = ops.cast(tape, bias, 4, "fp32 bias of a norm")
    y = ops.fused_norm(tape, given.pop(), weight32, bias32, 2, "norm")
    return leave(tape, name, ops.cast(tape, y, x.width, "norm"))[0]


def norm(tape: Tape, x: Tensor, name: str, s: Structure) -> Tensor:
    """The norm of the residual stream."""
    if s.norm == "rmsnorm":
        return rms_norm(tape, x, name, "D", fused=s.fused_rms_norm)
    return layer_norm(tape, x, name, "D")
