"""The products of a mixture's experts: `ava_kernels.grouped` and `ava_kernels.grouped_swiglu`.

Shapes: R rows sorted by expert, E experts, D width in, F width out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.estimate.tape import ops
from workbench.estimate.tape.autograd import Node
from workbench.estimate.tape.ops_plain import custom, sliced
from workbench.estimate.tape.ops_split import split
from workbench.estimate.tape.tensor import Parameter, Tensor

if TYPE_CHECKING:
    from workbench.estimate.tape.ops import Gradients
    from workbench.estimate.tape.tensor import Dim, Tape

_REST = "(QP-N1)"
"""Rows of all experts but the first."""


def grouped_product(tape: Tape, x: Tensor, weight: Tensor) -> Tensor:
    """``F.grouped_mm`` in a function that keeps the weight: one kernel over all experts."""
    x = sliced(tape, x, x.shape)
    memo = (x.shape, weight.shape, x.needs_grad, weight.needs_grad)
    keep = ((x,) if weight.needs_grad else ()) + ((weight,) if x.needs_grad else ())
    return ops.make(
        tape,
        (x, weight),
        (x.shape[0], weight.shape[1]),
        x.width,
        "rows of the experts",
        keep=keep,
        back=_grouped_back,
        memo=memo,
        kind="product",
        late=True,
    )


def _grouped_back(node: Node, grad: Tensor) -> Gradients:
    x_shape, weight_shape, to_x, to_weight = node.memo
    tape, width = node.tape, grad.width
    node.kept()
    of_x = tape.new(x_shape, width, "gradient of the experts' rows") if to_x else None
    of_weight = tape.new(weight_shape, width, "gradient of the experts") if to_weight else None
    return of_x, of_weight


def by_expert(tape: Tape, x: Tensor, gate: Tensor, up: Tensor, down: Tensor) -> Tensor:
    """SwiGLU networks one after another, as CPUs compute them.

    The second expert stands for all that follow: what the one before it had still exists then.
    """
    rows, inner, width = x.shape[0], gate.shape[1], x.width
    node = None
    inputs = (x, gate, up, down)
    if tape.grad and any(each.needs_grad for each in inputs):
        learns = tuple(each.needs_grad for each in (gate, up, down))
        memo = (x.shape, gate.shape, down.shape, gate.width, learns)
        node = Node(tape, inputs, _by_expert_back, memo)
    result = tape.new((rows, "D"), width, "results of the experts", node)
    gates = tape.new(("QP", inner), width, "gates of the experts")
    ups = tape.new(("QP", inner), width, "inner rows of the experts")
    weight, turned = gate.shape[1:], down.shape[1:]
    some: Tensor | None = None
    active: Tensor | None = None
    for filled, padded, kept in (("N1", "W1", "N1"), ("N2", "W2", _REST)):
        some = tape.new((padded, "D"), width, "rows of an expert, filled up")
        for _ in range(2):
            _cast(tape, weight, gate, width)
        active = tape.new((filled, inner), width, "inner rows of an expert")
        cast = _cast(tape, turned, down, width)
        y = _single(tape, (filled, "D"), (kept, "D"), width)
        del cast, y
    del some, active
    if node is not None:
        if gate.needs_grad or up.needs_grad:
            node.save(x)
        node.save(gates, ups, gate, up, down)
    return result


def _cast(tape: Tape, shape: tuple[Dim, ...], like: Tensor, width: int) -> Tensor | None:
    if like.width == width:
        return None
    return tape.new(shape, width, "weight of an expert in the compute dtype")


def _single(tape: Tape, shape: tuple[Dim, ...], kept: tuple[Dim, ...], width: int) -> Tensor:
    """The last product of an expert: selective recomputation keeps it, though nobody needs it."""
    region = tape.region
    keeps = region is not None and "product" in region.keeps
    return custom(tape, kept if keeps else shape, width, "rows out of an expert", kind="product")


def _by_expert_back(node: Node, grad: Tensor) -> Gradients:
    tape, width = node.tape, grad.width
    x_shape, shape, down_shape, weight_width, learns = node.memo
    node.kept()
    grad_x = tape.new(x_shape, width, "gradient of the experts' rows")
    grads = [
        tape.new(each, weight_width, "gradient of the experts") if learns_it else None
        for each, learns_it in zip((shape, shape, down_shape), learns, strict=True)
    ]
    of_gate, of_up, of_down = learns
    inner = shape[1]
    weight, turned = shape[1:], down_shape[1:]
    narrow = weight_width != width
    held: dict[str, Tensor] = {}

    def passing(size: tuple[Dim, ...], label: str) -> None:
        if narrow:
            tape.new(size, width, label)

    # A variable of the kernel's loop keeps its value until it gets the next one.
    for filled, padded in (("N1", "W1"), ("N2", "W2")):
        rows = (filled, inner)
        if of_gate or of_up:
            held["x"] = tape.new((padded, "D"), width, "rows of an expert, filled up")
        held["grad"] = tape.new((padded, "D"), width, "gradient of an expert's rows, filled up")
        active = tape.new(rows, width, "activation of an expert, then the gradient of its rows")
        if of_down:
            gated = tape.new(rows, width, "gated product of an expert")
            passing(turned, "gradient of an expert's weight")
            del gated
        cast = tape.new(turned, width, "weight of an expert in the compute dtype") if narrow else 0
        held["inner"] = tape.new(rows, width, "gradient of an expert's inner rows")
        del cast
        held["up"] = active
        held["gate"] = tape.new(rows, width, "gradient of an expert's gate")
        for learns_it in (of_gate, of_up):
            if learns_it:
                passing(weight, "gradient of an expert's weight")
        cast = tape.new(weight, width, "weight of an expert in the compute dtype") if narrow else 0
        held["result"] = tape.new((filled, "D"), width, "gradient of an expert's rows")
        del cast, active
        passing(weight, "weight of an expert in the compute dtype")
    held.clear()
    return (grad_x, *grads)


def looped_product(tape: Tape, x: Tensor, weight: Tensor, experts: int) -> Tensor:
    """One product for each expert, and all of them joined; the first ones have a row more."""
    matrices = split(tape, weight, (weight.shape[1:],) * experts)
    if tape.modules is not None and isinstance(weight, Parameter):
        matrices = [tape.modules.pinned(weight.name, each) for each in matrices]
    parts = []
    for after in range(experts - 1, -1, -1):
        rows = f"(Q+{after})//E"
        some = ops.piece(tape, x, (rows, *x.shape[1:]))
        y = ops.linear(tape, some, matrices.pop(0), weight.shape[1], label="rows out of an expert")
        parts.append(y)
        del y
        del some
    return _joined(tape, parts, (x.shape[0], weight.shape[1]))


def _joined(tape: Tape, parts: list[Tensor], shape: tuple[Dim, ...]) -> Tensor:
    memo = tuple(each.shape for each in parts)
    return ops.make(
        tape,
        tuple(parts),
        shape,
        parts[0].width,
        "rows of the experts",
        back=_joined_back,
        memo=memo,
    )


def _joined_back(node: Node, grad: Tensor) -> Gradients:
    return tuple(Tensor(grad.storage, each, grad.width, None, grad) for each in node.memo)
