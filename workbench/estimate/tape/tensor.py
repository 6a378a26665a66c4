"""Symbolic tensors: a shape in symbols, bytes per element, and a storage that may be shared."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.estimate.tape.autograd import Node, Region
    from workbench.estimate.tape.events import Event
    from workbench.estimate.tape.modules import Modules

Dim = int | str
"""A size: a number, or an expression in symbols such as ``"H*K"``."""


class Storage:
    """Memory of a tensor and of its views; it exists as long as anything refers to it."""

    __slots__ = ("__weakref__", "bit", "holders", "tape")

    def __init__(self, tape: Tape, bit: int) -> None:
        self.tape, self.bit, self.holders = tape, bit, 0

    def __del__(self) -> None:
        self.tape.live &= ~self.bit


class Tensor:
    """A view of a storage.

    Attributes:
        storage: The memory; None for what the tape does not follow: parameters.
        shape: Sizes in symbols.
        width: Bytes per element.
        node: What computed it; None where no gradient is wanted.
        base: The tensor that this one is a view of: PyTorch keeps it as long as the view.
    """

    __slots__ = ("base", "needs_grad", "node", "shape", "storage", "width")

    def __init__(
        self,
        storage: Storage | None,
        shape: tuple[Dim, ...],
        width: int,
        node: Node | None = None,
        base: Tensor | None = None,
    ) -> None:
        self.base = base
        self.storage, self.shape, self.width, self.node = storage, shape, width, node
        self.needs_grad = node is not None
        if storage is not None:
            storage.holders += 1

    def __del__(self) -> None:
        if self.storage is not None:
            self.storage.holders -= 1

    def detach(self) -> Tensor:
        """The same memory without its history."""
        return Tensor(self.storage, self.shape, self.width)

    @property
    def alone(self) -> bool:
        """Whether nothing else refers to the memory: autograd then adds in place."""
        return self.storage is not None and self.storage.holders == 1


class Tape:
    """Sees storages come and go.

    Attributes:
        live: The storages that exist, one bit each.
        sizes: Bytes of each storage, as an expression, in the order of their making.
        labels: What each storage is.
        moments: ``live`` at each allocation, since `cut`.
        arrivals: ``live`` as each gradient reaches its weight.
        came: The same for the part's own weights, as events.
        parameters: The weights that were met.
        buffers: (name, shape, bytes per element) of what stands beside them and learns nothing.
        lora: Which weights learn; None: all of them.
        left: What exists until the next micro-batch.
        ends: Where gradients stop and wait besides parameters and inputs.
        passing: What an engine holds until the next part of the network.
        marks: Where in ``moments`` something began, by its name.
        grad: Whether operations leave nodes behind.
        region: The recomputed part that is being executed; None outside of any.
        accumulating: Whether parameters already have gradients.
        weight_width: Bytes of an element of a parameter while it computes.
        kept_width: Bytes of an element of a parameter between steps.
        narrow: Whether matrices are kept in 16 bits.
        path: Where in the network the next tensor is made.
        chained: Whether units follow each other in this part, so that marks are theirs to set.
        before_backward: What an engine does first in the backward pass.
        prefetch: What it does once a router has been fetched again.
        modules: Where modules begin and end; None where no engine looks.
        offload: Which of what is kept is copied to the host; None: nothing is.
        away: Bytes of what is there, where the host's memory is not the device's.
    """

    def __init__(
        self,
        *,
        accumulating: bool = False,
        weight_width: int = 4,
        kept_width: int = 4,
        narrow: bool = False,
    ) -> None:
        self.live = 0
        self.sizes: list[str] = []
        self.labels: list[str] = []
        self.moments: list[int] = []
        self.arrivals: list[int] = []
        self.came: list[Event] = []
        self.parameters: list[Parameter] = []
        self.buffers: list[tuple[str, tuple[Dim, ...], int]] = []
        self.lora: Adapters | None = None
        self.ends: list[Node] = []
        self.left: list[Tensor] = []
        self.passing: dict[str, Tensor] = {}
        self.marks: dict[str, int] = {}
        self.grad = True
        self.region: Region | None = None
        self.path = ""
        self.chained = False
        self.before_backward: Callable[[], None] | None = None
        self.prefetch: Callable[[], None] | None = None
        self.modules: Modules | None = None
        self.offload: Moves | None = None
        self.away: list[str] = []
        self.clock = 0
        self.accumulating = accumulating
        self.weight_width = weight_width
        self.kept_width = kept_width
        self.narrow = narrow

    def new(
        self, shape: tuple[Dim, ...], width: int, label: str, node: Node | None = None
    ) -> Tensor:
        """Allocate."""
        bit = 1 << len(self.sizes)
        self.sizes.append(size_of_shape(shape, width))
        self.labels.append(f"{self.path}{label}")
        self.live |= bit
        self.moments.append(self.live)
        return Tensor(Storage(self, bit), shape, width, node)

    def keep(self, tensor: Tensor) -> Tensor:
        """What is kept of a tensor for the backward pass: itself, or a copy on the host."""
        if self.offload is None or not self.offload.moves(tensor):
            return tensor.detach()
        if self.offload.cpu:
            return self.new(tensor.shape, tensor.width, "copy on the host")
        self.away.append(size_of_shape(tensor.shape, tensor.width))
        return Away(None, tensor.shape, tensor.width)

    def fetch(self, kept: Tensor) -> Tensor:
        """What was kept, on the device."""
        if not isinstance(kept, Away):
            return kept
        return self.new(kept.shape, kept.width, "back from the host")

    def mark(self, name: str) -> None:
        """Something begins."""
        self.marks.setdefault(name, len(self.moments))

    def cut(self) -> list[int]:
        """The moments so far; begins a new list."""
        moments, self.moments = self.moments, []
        return moments


class Away(Tensor):
    """A tensor in a host's memory that is not the device's."""

    __slots__ = ()


class Moves(Protocol):
    """What decides which tensors are copied to the host."""

    cpu: bool

    def moves(self, tensor: Tensor) -> bool:
        """Whether a tensor is."""
        ...


class Adapters(NamedTuple):
    """LoRA in a part of the network: what learns.

    Attributes:
        layers: Names of the linear layers that have an adapter.
        bias: Which biases learn, too: ``none``, ``all`` or ``lora_only``.
        dropout: Whether inputs of adapters are dropped.
        cpu: Whether CPU kernels run.
    """

    layers: frozenset[str]
    bias: str
    dropout: bool
    cpu: bool

    def learns(self, name: str) -> bool:
        """Whether a weight does, as `workbench.models.lora.add_adapters` decides."""
        owner, _, last = name.rpartition(".")
        if last.startswith("lora_"):
            return True
        if self.bias == "all":
            return last.endswith("bias")
        return self.bias == "lora_only" and last == "bias" and owner in self.layers


class Parameter(Tensor):
    """A weight. Its memory is counted apart; its gradient is not.

    Attributes:
        name: Its name inside its part of the network.
        grad: Its gradient, once there is one.
        has_gradient: Whether there is one from before, which new ones are added to.
        shared: Whether it is a parameter of another part of the network.
        waiting: The gradient of earlier micro-batches where it is given up for its bucket.
        kept: Bytes of an element between steps.
        trained: Whether it is.
        apart: Whether FSDP fetches it by itself, in the format that it is kept in.
    """

    __slots__ = ("apart", "grad", "has_gradient", "kept", "name", "shared", "trained", "waiting")

    def __init__(
        self,
        tape: Tape,
        name: str,
        shape: tuple[Dim, ...],
        *,
        shared: bool = False,
        narrow: bool = False,
        exact: bool = False,
    ) -> None:
        """A weight of the part that is being recorded.

        Args:
            tape: The tape.
            name: Its name.
            shape: Its sizes.
            shared: Whether it is a parameter of another part.
            narrow: Whether it is kept in 16 bits.
            exact: Whether it computes in the format that it is kept in.
        """
        width = 2 if narrow else tape.kept_width if exact else tape.weight_width
        super().__init__(None, shape, width)
        self.kept = 2 if narrow else tape.kept_width
        self.name, self.grad, self.has_gradient = tape.path + name, None, tape.accumulating
        self.trained = tape.lora is None or tape.lora.learns(self.name)
        self.needs_grad = self.trained
        self.shared, self.apart = shared, exact
        self.waiting: Tensor | None = None
        tape.parameters.append(self)
        if tape.modules is not None and not shared:
            tape.modules.met(self.name)

    grad: Tensor | None


def size_of_shape(shape: tuple[Dim, ...], width: int) -> str:
    """Bytes of a dense tensor, as an expression: numbers first, then symbols in their order."""
    number, symbols = width, []
    for dim in shape:
        if isinstance(dim, int):
            number *= dim
        else:
            symbols.append(f"({dim})" if any(sign in dim for sign in "+-/") else dim)
    return "*".join(([str(number)] if number != 1 or not symbols else []) + symbols)
