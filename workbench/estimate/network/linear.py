"""`workbench.models.linear` on paper: an fp32 weight, cast to the dtype of its input."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.estimate.tape import ops
from workbench.estimate.tape.modules import enter, leave
from workbench.estimate.tape.ops_attention import dropout
from workbench.estimate.tape.ops_plain import step
from workbench.estimate.tape.tensor import Parameter

if TYPE_CHECKING:
    from workbench.estimate.tape.tensor import Dim, Tape, Tensor


def linear(tape: Tape, x: Tensor, name: str, inner: Dim, out: Dim, *, bias: bool = False) -> Tensor:
    """Map ``(..., inner)`` to ``(..., out)``, with an adapter where there is one."""
    adapters = tape.lora
    if adapters is None or tape.path + name not in adapters.layers:
        (x,) = enter(tape, name, x)
        return leave(tape, name, _plain(tape, x, name, inner, out, bias=bias))[0]
    (x,) = enter(tape, name, x, weights=_adapted(tape, name, bias=bias))
    dropped = dropout(tape, x, cpu=adapters.cpu) if adapters.dropout else x
    thin = _product(tape, dropped, f"{name}.lora_a", inner, "LA")
    del dropped
    y = _plain(tape, x, name, inner, out, bias=bias)
    more = _product(tape, thin, f"{name}.lora_b", "LA", out)
    del thin
    scaled = step(tape, more, more.shape, more.width, f"{name} adapter output, scaled")
    del more
    return leave(tape, name, ops.add(tape, y, scaled, f"{name} output with its adapter"))[0]


def _adapted(tape: Tape, name: str, *, bias: bool) -> tuple[str, ...]:
    """The weights of a layer with an adapter, in the order in which it registers them."""
    own = ("weight", "bias", "lora_a", "lora_b") if bias else ("weight", "lora_a", "lora_b")
    return tuple(f"{tape.path}{name}.{each}" for each in own)


def _product(tape: Tape, x: Tensor, name: str, inner: Dim, out: Dim) -> Tensor:
    weight = Parameter(tape, name, (out, inner))
    cast = ops.cast(tape, weight, x.width, f"{name} in the compute dtype")
    return ops.linear(tape, x, cast, out, None, f"{name} output")


def _plain(tape: Tape, x: Tensor, name: str, inner: Dim, out: Dim, *, bias: bool = False) -> Tensor:
    weight = Parameter(
        tape, f"{name}.weight", (out, inner), narrow=tape.narrow and tape.lora is None
    )
    vector = Parameter(tape, f"{name}.bias", (out,)) if bias else None
    added = (
        None
        if vector is None
        else ops.cast(tape, vector, x.width, f"{name} bias in the compute dtype")
    )
    cast = ops.cast(tape, weight, x.width, f"{name} weight in the compute dtype")
    return ops.linear(tape, x, cast, out, added, f"{name} output")
