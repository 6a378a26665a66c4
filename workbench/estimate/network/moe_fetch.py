"""The router as a unit of FSDP inside its block (`workbench.training.engines.fsdp`).

It computes in fp32, so it is fetched, given back and reduced apart from the block's other weights,
and what the block before left on its way goes while this block is being computed. `phases` of a
segment tell those moments apart.

Shapes: E experts, D width, N devices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.estimate.tape.autograd import Node
from workbench.estimate.tape.tensor import Tensor

if TYPE_CHECKING:
    from workbench.estimate.tape.ops import Gradients
    from workbench.estimate.tape.tensor import Dim, Parameter, Tape

SHARD = "-(-E//N)"
_WHOLE: tuple[Dim, ...] = (SHARD, "N", "D")


class Unit:
    """A router that is fetched for its forward pass and again for its backward pass.

    Args:
        tape: The tape.
        x: Its input.
        reshard: Whether it is given back in between.
    """

    def __init__(self, tape: Tape, x: Tensor, *, reshard: bool) -> None:
        self.tape, self.reshard = tape, reshard
        self.weights: Tensor | None = None
        self.parameter: Parameter | None = None
        self.is_fetched = False
        again = tape.region is not None and tape.region.phase == "again"
        if reshard or not again:
            tape.passing["gathered"] = tape.new(_WHOLE, 4, "buffer that a router is fetched into")
            self.weights = tape.new(_WHOLE, 4, "weights of a router, fetched")
            if not again:
                tape.mark("router")
        node = None
        if tape.grad and x.needs_grad:
            node = Node(tape, (x,), _reduced, self)
        self.given = [Tensor(x.storage, x.shape, x.width, node, x.base)]

    def done(self, *results: Tensor) -> tuple[Tensor, ...]:
        """The results, by which the backward pass begins; the weights are given back."""
        if self.reshard:
            self.weights = None
        found = []
        for each in results:
            node = None
            if each.node is not None:
                node = Node(self.tape, (each,), _fetched_again, self)
            found.append(Tensor(each.storage, each.shape, each.width, node, each.base))
        return tuple(found)


def _fetched_again(node: Node, grad: Tensor) -> Gradients:
    unit: Unit = node.memo
    if not unit.is_fetched:
        unit.is_fetched = True
        if unit.reshard:
            unit.weights = node.tape.new(_WHOLE, 4, "weights of a router, fetched")
        if node.tape.prefetch is not None:
            node.tape.prefetch()
        elif not node.tape.chained:
            node.tape.mark("router, backward")
    return (Tensor(grad.storage, grad.shape, grad.width, None, grad.base),)


def _reduced(node: Node, grad: Tensor) -> Gradients:
    unit: Unit = node.memo
    tape = node.tape
    unit.weights = None
    if not tape.chained:
        tape.mark("router, reduced")
    if unit.parameter is None or not unit.parameter.trained:
        return (Tensor(grad.storage, grad.shape, grad.width, None, grad.base),)
    tape.passing["reduced"] = tape.new(_WHOLE, 4, "fp32 buffer of a router's gradients")
    unit.parameter.grad = None
    tape.passing["shard"] = tape.new((SHARD, "D"), 4, "gradient of the shard of a router")
    return (Tensor(grad.storage, grad.shape, grad.width, None, grad.base),)
