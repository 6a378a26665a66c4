"""`workbench.models.linear` on paper: an fp32 weight, cast to the dtype of its input."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.estimate.tape import ops
from workbench.estimate.tape.tensor import Parameter

if TYPE_CHECKING:
    from workbench.estimate.tape.tensor import Dim, Tape, Tensor


def linear(tape: Tape, x: Tensor, name: str, inner: Dim, out: Dim, *, bias: bool = False) -> Tensor:
    """Map ``(..., inner)`` to ``(..., out)``."""
    weight = Parameter(tape, f"{name}.weight", (out, inner), narrow=tape.narrow)
    vector = Parameter(tape, f"{name}.bias", (out,)) if bias else None
    added = (
        None
        if vector is None
        else ops.cast(tape, vector, x.width, f"{name} bias in the compute dtype")
    )
    cast = ops.cast(tape, weight, x.width, f"{name} weight in the compute dtype")
    return ops.linear(tape, x, cast, out, added, f"{name} output")
