"""`workbench.models.feed_forward` on paper.

Shapes: D width, F inner width, any leading dimensions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.estimate.network.linear import linear
from workbench.estimate.tape import ops
from workbench.estimate.tape.modules import enter, leave

if TYPE_CHECKING:
    from workbench.estimate.network.structure import Structure
    from workbench.estimate.tape.tensor import Dim, Tape, Tensor

GATED = ("swiglu", "geglu")


def activate(tape: Tape, x: Tensor, kind: str) -> Tensor:
    """The function of ``model.hidden_act``."""
    if kind == "relu":
        return ops.relu(tape, x)
    if kind == "relu_squared":
        return ops.square(tape, ops.relu(tape, x))
    return ops.elementwise(tape, x, "activation")


def feed_forward(tape: Tape, x_D: Tensor, s: Structure, inner: Dim = "F") -> Tensor:
    """``down(act(gate(x)) * up(x))`` with a gate, ``down(act(up(x)))`` without."""
    gated, bias = s.act in GATED, s.mlp_bias
    (x_D,) = enter(tape, "feed_forward", x_D)
    up_F = linear(tape, x_D, "up_proj", "D", inner, bias=bias)
    if gated:
        gate = linear(tape, x_D, "gate_proj", "D", inner, bias=bias)
        active = activate(tape, gate, s.act)
        del gate
        inner_F = ops.mul(tape, active, up_F, "gated product")
        del active
    else:
        inner_F = activate(tape, up_F, s.act)
    y_D = linear(tape, inner_F, "down_proj", inner, "D", bias=bias)
    return leave(tape, "feed_forward", y_D)[0]
