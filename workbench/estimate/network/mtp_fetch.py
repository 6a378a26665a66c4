"""Heads for later tokens as units of FSDP (`workbench.training.engines.fsdp`).

They are computed between the last block and the loss, inside the tail. Each is fetched for its
forward pass, fetched ahead for its backward pass, and reduced after it, as blocks are; the marks of
the tape say when the last block's own buffer goes, and when it is fetched again.

Symbols: N devices that share each weight.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.estimate.tape.autograd import Node
from workbench.estimate.tape.tensor import Parameter, Tape, Tensor, size_of_shape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from workbench.config.schema import Config
    from workbench.estimate.tape.ops import Gradients

_ROUTER = ("-(-E//N)", "N", "D")
_SHARED = "min(N-1,1)"
"""0 where a device has whole weights: it copies them out without a buffer."""


class Travels(NamedTuple):
    """How FSDP moves weights and gradients.

    Attributes:
        fetched: Bytes of an element of weights on their way.
        reduced: Bytes of an element of gradients as they are added up.
        reshard: Whether weights are given back after the forward pass.
        pieces: Whether this device's part is copied before it is fetched.
        held: Whether sharded gradients stand, or are in the host's memory.
        sums: Whether what was added up over copies stays until the backward pass has ended.
    """

    fetched: int
    reduced: int
    reshard: bool
    pieces: bool
    held: bool
    sums: bool


def travels_of(config: Config, *, fetched: int, cpu: bool) -> Travels:
    """What the ``fsdp`` section comes to."""
    fsdp = config.fsdp
    reduced = 4 if fsdp.reduce_dtype == "fp32" else 2
    apart = fsdp.cpu_offload and not cpu
    held = config.training.gradient_accumulation_steps > 1 or apart
    replicated = fsdp.sharding_strategy in ("hybrid", "no_shard")
    return Travels(
        fetched,
        reduced,
        reshard=fsdp.reshard_after_forward and fsdp.sharding_strategy != "shard_grad_op",
        pieces=fetched != 4 or apart,
        held=held,
        sums=replicated and (held or reduced != 4),
    )


class Chain:
    """The heads of a tail, first to last.

    Args:
        tape: The tape.
        travels: How they move.
        routed: Whether a router in each is a unit of its own.
    """

    def __init__(self, tape: Tape, travels: Travels, *, routed: bool) -> None:
        self.tape, self.travels, self.routed = tape, travels, routed
        self.units: list[Unit] = []
        tape.chained = True
        if travels.reshard:
            tape.before_backward = self.begin

    def call(self, run: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """The next head, as a unit."""
        unit = Unit(self, len(self.units))
        self.units.append(unit)

        def called(tape: Tape, *inputs: Tensor) -> Tensor:
            again = tape.region is not None and tape.region.phase == "again"
            before, tape.weight_width = tape.weight_width, self.travels.fetched
            start = len(tape.parameters)
            try:
                y = run(tape, *(inputs if again else unit.fetch(inputs)))
            finally:
                tape.weight_width = before
                for each in tape.parameters[start:]:
                    each.apart = True
            return y if again else unit.done(y, tape.parameters[start:])

        return called

    def begin(self) -> None:
        """The loss begins its backward pass: the last head is fetched ahead."""
        self.ahead(len(self.units) - 1)

    def ahead(self, index: int) -> None:
        """A head is fetched ahead; after the first one it is the last block's turn."""
        if index < 0:
            self.tape.prefetch = None
            self.tape.moments.append(self.tape.live)
            self.tape.mark("router, backward")
            return
        unit, piece = self.units[index], None
        if self.travels.pieces:
            label = "this device's part of a head to be fetched"
            piece = self.tape.new((unit.part, _SHARED), self.travels.fetched, label)
        self.tape.passing["ahead"] = unit.buffer()
        del piece


class Unit:
    """One head.

    Args:
        chain: The heads.
        index: Which of them it is.
    """

    def __init__(self, chain: Chain, index: int) -> None:
        self.chain, self.index, self.tape = chain, index, chain.tape
        self.numbers = self.part = self.learning = "0"
        self.weights: Tensor | None = None
        self.parameters: list[Parameter] = []
        self.arriving = 0
        self.is_fetched = False

    def buffer(self) -> Tensor:
        """What it is fetched into."""
        label = "buffer that a head is fetched into"
        return self.tape.new((self.numbers, _SHARED), self.chain.travels.fetched, label)

    def whole(self) -> Tensor:
        """Its weights."""
        label = "weights of a head, fetched"
        return self.tape.new((self.numbers,), self.chain.travels.fetched, label)

    def fetch(self, inputs: tuple[Tensor, ...]) -> list[Tensor]:
        """The weights, and the inputs, by which the backward pass ends."""
        tape = self.tape
        place = len(tape.sizes)
        buffer = self.buffer()
        self.weights = self.whole()
        self.places = (place, place + 1)
        tape.passing["gathered"] = buffer
        del buffer
        if not self.index:
            tape.mark("router")
        found = []
        for x in inputs:
            node = None
            if tape.grad and x.node is not None:
                node = Node(tape, (x,), _reduced, self)
                self.arriving += 1
            found.append(Tensor(x.storage, x.shape, x.width, node, x.base))
        return found

    def done(self, y: Tensor, parameters: list[Parameter]) -> Tensor:
        """The result, by which the backward pass begins; its size is known now."""
        own = list({each.name: each for each in parameters if _is_own(each)}.values())
        self.parameters = [each for each in parameters if _is_own(each)]
        self.numbers, self.part = _padded(own)
        self.learning = _padded(each for each in own if each.trained)[1]
        width = self.chain.travels.fetched
        for place, shape in zip(
            self.places, ((self.numbers, _SHARED), (self.numbers,)), strict=True
        ):
            self.tape.sizes[place] = size_of_shape(shape, width)
        if self.chain.travels.reshard:
            self.weights = None
        node = None if y.node is None else Node(self.tape, (y,), _fetched_again, self)
        return Tensor(y.storage, y.shape, y.width, node, y.base)

    def fetched_again(self) -> None:
        """Its backward pass begins: the next unit is fetched ahead."""
        if self.is_fetched or not self.chain.travels.reshard:
            return
        self.is_fetched = True
        tape, chain = self.tape, self.chain
        self.weights = self.whole()
        tape.passing.pop("ahead", None)
        following = partial(chain.ahead, self.index - 1)
        if not chain.routed:
            following()
            return
        label = "buffer that a router is fetched into"
        tape.passing["ahead"] = tape.new((*_ROUTER, _SHARED), 4, label)
        tape.prefetch = following

    def reduced(self) -> None:
        """Its gradients are copied into a buffer, of which this device gets its part."""
        tape, travels = self.tape, self.chain.travels
        self.weights = None
        tape.passing.pop("reduced", None)
        if self.learning == "0":
            return
        label = "buffer of the gradients of a head"
        tape.passing["reduced"] = tape.new((self.learning, "N"), travels.reduced, label)
        for each in self.parameters:
            each.grad = None
        label = "this device's part of the sums of a head's gradients"
        part: Tensor | None = tape.new((self.learning,), travels.reduced, label)
        exact = part
        if travels.reduced != 4:
            exact = tape.new((self.learning,), 4, "the same in fp32")
        kept = [part] if travels.sums else []
        if not travels.held:
            kept.append(exact)
        tape.left.extend(each for each in kept if each is not None)


def _is_own(weight: Parameter) -> bool:
    """Whether it is in the head's own unit: a router is another one."""
    return not weight.shared and not weight.name.endswith("router.weight")


def _padded(weights: Iterable[Parameter]) -> tuple[str, str]:
    """Numbers of weights that are cut into N equal parts, and of a part."""
    parts = []
    for each in weights:
        first, *rest = each.shape
        parts.append(size_of_shape((f"-(-({first})//N)", *rest), 1))
    part = "+".join(parts) or "0"
    return f"({part})*N", part


def _same(grad: Tensor) -> tuple[Tensor, ...]:
    return (Tensor(grad.storage, grad.shape, grad.width, None, grad.base),)


def _fetched_again(node: Any, grad: Tensor) -> Gradients:
    node.memo.fetched_again()
    return _same(grad)


def _reduced(node: Any, grad: Tensor) -> Gradients:
    unit: Unit = node.memo
    unit.arriving -= 1
    if not unit.arriving:
        unit.reduced()
    return _same(grad)
