"""The backward pass on paper, in the order and with the lifetimes of PyTorch's engine.

What is repeated here: nodes run in the reverse order of their making, except that a gradient that
has arrived at a parameter is taken at once; a node frees what it kept as soon as it has run;
gradients that meet are added in place where nobody else refers to the first of them
(torch/csrc/autograd/engine.cpp and input_buffer.cpp).
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any

from workbench.estimate.tape.events import Event
from workbench.estimate.tape.tensor import Parameter, Tape, Tensor

if TYPE_CHECKING:
    from collections.abc import Callable

RANDOM_STATE = 5056
"""Bytes of the state of PyTorch's generator for CPUs (aten/src/ATen/CPUGeneratorImpl.cpp)."""

Back = Any  # Callable[[Node, Tensor], tuple[Tensor | None, ...]]


class Node:
    """One operation of the graph.

    Attributes:
        inputs: Where the gradients go: nodes, parameters, or None.
        saved: What it keeps for its backward pass.
        back: From the gradient of the result to those of the inputs.
        memo: Shapes that it needs to know.
    """

    __slots__ = ("__weakref__", "back", "inputs", "memo", "region", "saved", "seq", "tape")

    def __init__(
        self, tape: Tape, inputs: tuple[Tensor, ...], back: Back, memo: Any = None
    ) -> None:
        tape.clock += 1
        self.memo = memo
        self.seq = tape.clock
        self.tape = tape
        self.back = back
        self.inputs: list[Node | Parameter | None] = [
            each if isinstance(each, Parameter) and each.needs_grad else each.node
            for each in inputs
        ]
        self.saved: list[Tensor] = []
        self.region: Region | None = None

    def save(self, *tensors: Tensor) -> None:
        """Keep tensors for the backward pass."""
        for each in tensors:
            if self.tape.region is None:
                self.saved.append(self.tape.keep(each))
            else:
                self.tape.region.save(self, each)

    def kept(self) -> list[Tensor]:
        """What was kept; in a recomputed region, after computing it again."""
        if self.region is not None:
            self.region.recompute()
        elif self.tape.offload is not None:
            self.saved = [self.tape.fetch(each) for each in self.saved]
        return self.saved


class StopRecomputing(Exception):  # noqa: N818 - no error: everything needed has been computed
    """All that the backward pass needs exists again."""


class Region:
    """A part of the network whose tensors are computed again in the backward pass.

    Args:
        tape: The tape.
        again: Runs the part; its results are dropped.
        keeps: Names of operations whose results are kept from the forward pass.
        draws: Whether the state of the random numbers is kept on this device.
    """

    def __init__(
        self,
        tape: Tape,
        again: Callable[[], object],
        keeps: frozenset[str] = frozenset(),
        *,
        draws: bool = False,
    ) -> None:
        self.tape, self.keeps = tape, keeps
        self.state = self._state() if draws else None
        self.again: Callable[[], object] | None = again
        self.owners: list[Node | None] = []
        self.cache: list[Tensor] = []
        self.saves = 0
        self.phase = "forward"
        self.done = False

    def save(self, node: Node, tensor: Tensor) -> None:
        """In the forward pass note who wants it; when computing again, give it to them."""
        if self.phase == "forward":
            node.region = self
            self.owners.append(node)
            return
        owner = self.owners[self.saves]
        self.saves += 1
        node.saved.append(tensor.detach())
        if owner is not None:
            modules = self.tape.modules
            if modules is not None and isinstance(tensor, Parameter) and tensor.trained:
                # torch.utils.checkpoint hands on what it has computed as tensors of its own.
                owner.saved.append(modules.pinned(tensor.name, tensor.detach()))
            else:
                owner.saved.append(tensor.detach())
        if self.saves == len(self.owners):
            raise StopRecomputing

    def recompute(self) -> None:
        """Compute everything again, once, until the last tensor that is needed exists."""
        if self.done:
            return
        self.done = True
        assert self.again is not None
        self.phase = "again"
        before, self.tape.region = self.tape.region, self
        grad, self.tape.grad = self.tape.grad, True
        state = None if self.state is None else self._state()
        try:
            self.again()
        except StopRecomputing:
            if self.tape.modules is not None:
                self.tape.modules.stopped()
        finally:
            self.tape.region, self.tape.grad = before, grad
        del state
        self.owners.clear()

    def _state(self) -> Tensor:
        return self.tape.new((RANDOM_STATE,), 1, "state of the random numbers")


class Boundary(Node):
    """Where a part of the network begins: it receives the gradient of what comes in."""

    __slots__ = ("grad",)

    def __init__(self, tape: Tape) -> None:
        super().__init__(tape, (), None)
        self.grad: Tensor | None = None


def backward(
    tape: Tape,
    begin: list[tuple[Node, Tensor]],
    *,
    held: list[tuple[Node, Tensor]] | None = None,
) -> None:
    """Run the backward pass from some nodes; gradients end in parameters and boundaries.

    Args:
        tape: The tape.
        begin: Where it begins, and what with; emptied.
        held: What has arrived somewhere before; emptied.
    """
    if tape.before_backward is not None:
        tape.before_backward()
    roots = [node for node, _ in begin]
    waiting = _dependencies(roots)
    buffers: dict[int, Tensor] = {}
    _hand_over(buffers, begin)
    _hand_over(buffers, held or [])
    ready = [(-each.seq, each) for each in roots if not waiting.get(id(each))]
    heapq.heapify(ready)
    del roots
    tape.grad = False
    while ready:
        node = heapq.heappop(ready)[1]
        incoming = buffers.pop(id(node))
        if isinstance(node, Boundary):
            node.grad = incoming
            del incoming
            continue
        outgoing = list(node.back(node, incoming))
        del incoming
        node.saved.clear()
        node.region = None
        for place, target in enumerate(node.inputs):
            found = outgoing[place]
            outgoing[place] = None
            if target is None:
                del found
                continue
            if isinstance(target, Parameter):
                if found is not None:
                    _take(tape, target, found)
                del found
                continue
            if found is not None:
                _add(tape, buffers, id(target), found)
            del found
            waiting[id(target)] -= 1
            if not waiting[id(target)] and id(target) in buffers:
                heapq.heappush(ready, (-target.seq, target))
        node.inputs = []
        node.back = None
        del node, outgoing, target
    tape.grad = True


def _hand_over(buffers: dict[int, Tensor], given: list[tuple[Node, Tensor]]) -> None:
    """Gradients become those that wait for their nodes: nobody else holds them."""
    while given:
        node, found = given.pop()
        buffers[id(node)] = found
        del node, found


def _dependencies(roots: list[Node]) -> dict[int, int]:
    counts: dict[int, int] = {}
    seen = {id(root) for root in roots}
    stack = list(roots)
    while stack:
        for target in stack.pop().inputs:
            if not isinstance(target, Node):
                continue
            counts[id(target)] = counts.get(id(target), 0) + 1
            if id(target) not in seen:
                seen.add(id(target))
                stack.append(target)
    return counts


def _add(tape: Tape, buffers: dict[int, Tensor], key: int, found: Tensor) -> None:
    held = buffers.get(key)
    if held is None:
        buffers[key] = found
        return
    if not held.alone:
        buffers[key] = tape.new(held.shape, held.width, "sum of gradients")


def _take(tape: Tape, parameter: Parameter, found: Tensor) -> None:
    """A parameter's gradient becomes the tensor that arrives first; later ones are added to it."""
    tape.arrivals.append(tape.live)
    if not parameter.shared:
        tape.came.append(Event(len(tape.moments), tape.live, "come", parameter.name))
        if tape.modules is not None:
            tape.modules.happens("come", parameter.name)
    if parameter.has_gradient:
        parameter.waiting = None
        return
    if parameter.grad is None:
        parameter.grad = found
        if found.storage is not None:
            tape.labels[found.storage.bit.bit_length() - 1] = f"gradient of {parameter.name}"
