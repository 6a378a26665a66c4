"""Views that share a gradient: the parts of a tensor, and one part for many."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.estimate.tape.autograd import Node
from workbench.estimate.tape.tensor import Parameter, Tensor

if TYPE_CHECKING:
    from workbench.estimate.tape.ops import Gradients
    from workbench.estimate.tape.tensor import Dim, Tape

Shape = tuple["Dim", ...]


def split(tape: Tape, x: Tensor, shapes: tuple[Shape, ...]) -> list[Tensor]:
    """The parts of a tensor; backwards their gradients wait for each other and are joined."""
    weight = x if isinstance(x, Parameter) else None
    if not (tape.grad and x.needs_grad):
        return [Tensor(x.storage, shape, x.width, None, weight) for shape in shapes]
    waiting: list[Tensor] = []
    whole = Tensor(None, x.shape, x.width, Node(tape, (x,), _split_back, (x.shape, waiting)))
    found = []
    for place, shape in enumerate(shapes):
        node = Node(tape, (whole,), _one_back, (waiting, place == 0))
        found.append(Tensor(x.storage, shape, x.width, node, weight))
    return found


def _one_back(node: Node, grad: Tensor) -> Gradients:
    waiting, is_last = node.memo
    waiting.append(grad)
    node.memo = None
    return (Tensor(None, grad.shape, grad.width) if is_last else None,)


def _split_back(node: Node, grad: Tensor) -> Gradients:
    shape, waiting = node.memo
    found = node.tape.new(shape, grad.width, "joined gradients of parts")
    waiting.clear()
    return (found,)


def expanded(tape: Tape, x: Tensor, shape: Shape) -> Tensor:
    """The same numbers for all heads; backwards their gradients are added up."""
    node = None
    if tape.grad and x.needs_grad:
        node = Node(tape, (x,), _expanded_back, x.shape)
    return Tensor(x.storage, shape, x.width, node)


def _expanded_back(node: Node, grad: Tensor) -> Gradients:
    return (node.tape.new(node.memo, grad.width, "gradient that heads share"),)
