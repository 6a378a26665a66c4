"""Operations that need no file of their own: one result, and a gradient of each operand's size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.estimate.tape import ops
from workbench.estimate.tape.tensor import Tensor

if TYPE_CHECKING:
    from workbench.estimate.tape.autograd import Node
    from workbench.estimate.tape.ops import Gradients
    from workbench.estimate.tape.tensor import Dim, Tape

Shape = tuple["Dim", ...]


def step(
    tape: Tape,
    x: Tensor,
    shape: Shape,
    width: int,
    label: str,
    *,
    keep: tuple[Tensor, ...] = (),
    keep_result: bool = False,
    on_the_way: tuple[Shape, ...] = (),
    kind: str = "",
) -> Tensor:
    """A function of one tensor; backwards a gradient of its size.

    Args:
        tape: The tape.
        x: The operand.
        shape: Shape of the result.
        width: Bytes of an element of it.
        label: What it is.
        keep: What the backward pass needs.
        keep_result: Whether it needs the result.
        on_the_way: Shapes of what exists besides until the gradient does.
        kind: Its kind, for regions that keep the results of some.
    """
    return ops.make(
        tape,
        (x,),
        shape,
        width,
        label,
        keep=keep,
        keep_result=keep_result,
        back=_step_back,
        memo=(x.shape, x.width, on_the_way),
        kind=kind,
    )


def _step_back(node: Node, grad: Tensor) -> Gradients:
    del grad
    shape, width, on_the_way = node.memo
    tape = node.tape
    node.kept()
    others = [tape.new(each, width, "on the way to a gradient") for each in on_the_way]
    found = tape.new(shape, width, "gradient of an operand")
    del others
    return (found,)


def spread(tape: Tape, x: Tensor, shape: Shape, label: str) -> Tensor:
    """A sum: backwards a view of its gradient, as often as there were terms."""
    return ops.make(tape, (x,), shape, x.width, label, back=_spread_back, memo=x.shape)


def _spread_back(node: Node, grad: Tensor) -> Gradients:
    return (Tensor(grad.storage, node.memo, grad.width, None, grad.base or grad),)


def sliced(tape: Tape, x: Tensor, shape: Shape) -> Tensor:
    """Some of the first rows; backwards a tensor of all of them."""
    return ops.piece(tape, x, shape)


def divided(tape: Tape, x: Tensor, y: Tensor, label: str) -> Tensor:
    """``x / y``, where y is smaller and a function of a parameter, too."""
    return ops.make(
        tape, (x, y), x.shape, x.width, label, keep=(x, y), back=_divided_back, memo=y.shape
    )


def _divided_back(node: Node, grad: Tensor) -> Gradients:
    """`div_tensor_other_grad` comes first; the engine adds it up to its size at the end."""
    tape = node.tape
    node.kept()
    ratio = tape.new(grad.shape, grad.width, "quotient")
    again = tape.new(grad.shape, grad.width, "quotient divided again")
    negative = tape.new(grad.shape, grad.width, "negative gradient")
    whole = tape.new(grad.shape, grad.width, "gradient of a divisor")
    del ratio, again, negative
    of_x = tape.new(grad.shape, grad.width, "gradient of a dividend")
    of_y = tape.new(node.memo, grad.width, "gradient of a divisor, added up")
    del whole
    return of_x, of_y


def custom(tape: Tape, shape: Shape, width: int, label: str, *, kind: str = "") -> Tensor:
    """A tensor that autograd does not know of."""
    return ops.make(tape, (), shape, width, label, kind=kind)
