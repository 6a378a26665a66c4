"""`workbench.models.moe_experts` on paper, with the kernels that it calls.

Shapes: R rows that go to an expert, D width, I inner width, E experts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.estimate.network.feed_forward import activate
from workbench.estimate.tape import ops, ops_plain
from workbench.estimate.tape.ops_experts import by_expert, grouped_product, looped_product
from workbench.estimate.tape.tensor import Parameter

if TYPE_CHECKING:
    from workbench.estimate.network.moe_structure import MoeStructure
    from workbench.estimate.network.structure import Structure
    from workbench.estimate.tape.tensor import Dim, Tape, Tensor


def experts(tape: Tape, x_RD: Tensor, expert_R: Tensor, s: Structure, m: MoeStructure) -> Tensor:
    """Apply to each row its expert."""
    gate = _matrix(tape, "gate_proj", "I", "D") if m.gated else None
    up, down = _matrix(tape, "up_proj", "I", "D"), _matrix(tape, "down_proj", "D", "I")
    if m.way == "by_expert":
        assert gate is not None
        return by_expert(tape, ops_plain.sliced(tape, x_RD, x_RD.shape), gate, up, down)
    if m.way == "swiglu" or (gate is not None and s.act == "swiglu" and not s.mlp_bias):
        assert gate is not None
        active = ops.elementwise(tape, _project(tape, x_RD, gate, m), "activation of the experts")
        inner = ops.mul(tape, active, _project(tape, x_RD, up, m), "gated product of the experts")
        del active
        return _project(tape, inner, down, m)

    def vector(name: str, out: Dim) -> Parameter | None:
        return Parameter(tape, f"experts.{name}", ("E", out)) if s.mlp_bias else None

    gate_bias = vector("gate_bias", "I") if m.gated else None
    up_bias, down_bias = vector("up_bias", "I"), vector("down_bias", "D")
    up_RI = _biased(tape, _project(tape, x_RD, up, m), up_bias, expert_R)
    if gate is None:
        inner = activate(tape, up_RI, s.act)
    else:
        raw = _biased(tape, _project(tape, x_RD, gate, m), gate_bias, expert_R)
        active = activate(tape, raw, s.act)
        del raw
        inner = ops.mul(tape, active, up_RI, "gated product of the experts")
        del active
    return _biased(tape, _project(tape, inner, down, m), down_bias, expert_R)


def _matrix(tape: Tape, name: str, out: Dim, inner: Dim) -> Parameter:
    return Parameter(tape, f"experts.{name}", ("E", out, inner))


def _project(tape: Tape, x: Tensor, weight: Parameter, m: MoeStructure) -> Tensor:
    """One product for each expert, over its rows."""
    cast = ops.cast(tape, weight, x.width, f"{weight.name} in the compute dtype")
    if m.way == "loop":
        return looped_product(tape, x, cast, m.experts)
    return grouped_product(tape, x, cast)


def _biased(tape: Tape, y: Tensor, bias: Parameter | None, expert_R: Tensor) -> Tensor:
    if bias is None:
        return y
    rows = ops.embedding(tape, bias, y.shape, keep=expert_R)
    added = ops.cast(tape, rows, y.width, "biases of the rows")
    del rows
    return ops.add(tape, y, added, "biased rows")
