"""Where modules begin and end, as the hooks of an engine see them that fetches their weights.

DeepSpeed's stage 3 fetches a module's weights as its forward pass begins, and again as the first
gradient reaches one of its results; it releases them as the forward pass ends, and as the last
gradient has reached its inputs (DeepSpeed 0.19.8, runtime/zero/parameter_offload.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.estimate.tape.autograd import Node
from workbench.estimate.tape.events import Event
from workbench.estimate.tape.tensor import Tensor

if TYPE_CHECKING:
    from workbench.estimate.tape.events import Kind
    from workbench.estimate.tape.tensor import Tape


class Modules:
    """The modules of a part of the network, and what happened to them since `cut`.

    Args:
        tape: The tape.
    """

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.weights: dict[str, list[str]] = {}
        self.events: list[Event] = []
        self._open: list[str] = []
        self._told: set[str] = set()

    def begin(self, name: str, weights: tuple[str, ...] | None) -> None:
        """A module's forward pass begins.

        Args:
            name: The module.
            weights: Its own, and those of others that it reads; None: those that are met in it.
        """
        self.happens("fetch", name)
        self._open.append(name)
        own = self.weights.setdefault(name, [])
        if weights is not None and name not in self._told:
            own.extend(weights)
            self._told.add(name)

    def end(self, name: str) -> None:
        """It ends."""
        if self._open and self._open[-1] == name:  # it may have begun in an earlier part
            self._open.pop()
        self.happens("release", name)

    def met(self, weight: str) -> None:
        """A weight is read for the first time in this pass."""
        if not self._open or self._open[-1] in self._told:
            return
        own = self.weights[self._open[-1]]
        if weight not in own:
            own.append(weight)

    def pinned(self, name: str, tensor: Tensor) -> Tensor:
        """A tensor of its own over the memory of a weight, which it keeps from being given back."""
        return _Pin(self, name, tensor)

    def stopped(self) -> None:
        """Computing again has stopped half-way: no module has ended."""
        self._open.clear()

    def happens(self, kind: Kind, name: str) -> None:
        """Something happens now."""
        self.events.append(Event(len(self.tape.moments), self.tape.live, kind, name))

    def cut(self) -> tuple[Event, ...]:
        """The events so far; begins anew."""
        events, self.events = self.events, []
        return tuple(events)


def enter(
    tape: Tape, name: str, *inputs: Tensor, weights: tuple[str, ...] | None = None
) -> tuple[Tensor, ...]:
    """A module begins; what it is called with.

    Args:
        tape: The tape.
        name: The module, in the part of the network that is being recorded.
        inputs: Its inputs.
        weights: What it reads, where that are not the weights that are met in it.
    """
    modules = tape.modules
    if modules is None:
        return inputs
    name = tape.path + name
    modules.begin(name, weights)
    missing = [each for each in inputs if each.needs_grad]
    if not missing or not tape.grad:
        return inputs
    left = _Left(name, len(missing))
    return tuple(_hooked(tape, each, left) if each.needs_grad else each for each in inputs)


def leave(tape: Tape, name: str, *results: Tensor, hooks: int = 1) -> tuple[Tensor, ...]:
    """A module ends; its results, by which its backward pass begins.

    Args:
        tape: The tape.
        name: The module.
        results: Its results.
        hooks: How many results each of them stands for.
    """
    modules = tape.modules
    if modules is None:
        return results
    name = tape.path + name
    modules.end(name)
    if not tape.grad:
        return results
    for _ in range(hooks):
        results = tuple(_hooked(tape, each, name) if each.needs_grad else each for each in results)
    return results


class _Pin(Tensor):
    """Holds the memory of a weight."""

    __slots__ = ("modules", "name")

    def __init__(self, modules: Modules, name: str, like: Tensor) -> None:
        super().__init__(None, like.shape, like.width, like.node)
        self.modules, self.name = modules, name
        modules.happens("hold", name)

    def detach(self) -> Tensor:
        """Another one."""
        return _Pin(self.modules, self.name, super().detach())

    def __del__(self) -> None:
        self.modules.happens("let go", self.name)


class _Left:
    """How many inputs of a module have no gradient yet."""

    __slots__ = ("count", "name")

    def __init__(self, name: str, count: int) -> None:
        self.name, self.count = name, count


def _hooked(tape: Tape, x: Tensor, memo: _Left | str) -> Tensor:
    node = Node(tape, (x,), _seen, memo)
    return Tensor(x.storage, x.shape, x.width, node, x.base)


def _seen(node: Node, grad: Tensor) -> tuple[Tensor, ...]:
    modules, memo = node.tape.modules, node.memo
    assert modules is not None
    if isinstance(memo, str):
        modules.happens("fetch back", memo)
    else:
        memo.count -= 1
        if not memo.count:
            modules.happens("release back", memo.name)
    return (grad,)
