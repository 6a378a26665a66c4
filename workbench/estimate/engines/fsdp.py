"""The ledger of FSDP2 on one of N devices, as `torch.distributed.fsdp.fully_shard` works.

Each block is a unit, and what is left, embedding and output with the loss, is another, which
computes in fp32 (`workbench.training.engines.fsdp`). A unit is fetched into one buffer, copied out
into its weights, and given back. On the way back the next unit's buffer is fetched ahead; gradients
are copied into one fp32 buffer, of which every device keeps its part; the buffer lives until the
next unit has its own (`_fsdp_collectives.py`, `_fsdp_param_group.py`, torch 2.13).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from workbench.estimate.engines.base import (
    Part,
    Standing,
    buffer_lines,
    moment,
    notable_runs,
    parts_with_weights,
    sizes_of,
)
from workbench.estimate.engines.inputs import input_lines
from workbench.estimate.engines.single import BETWEEN
from workbench.estimate.engines.states import state_lines, update_lines
from workbench.estimate.ledger import Line
from workbench.estimate.network.symbols import SYMBOLS
from workbench.estimate.rounding import up

if TYPE_CHECKING:
    from workbench.estimate.engines.states import Updates
    from workbench.estimate.ledger import Category, Moment, Stream
    from workbench.estimate.network.network import Sized

_LATE = "buffer that the last block was fetched into"
SOURCE = "torch/distributed/fsdp/_fully_shard/_fsdp_collectives.py"


def standing(
    net: Sized, updates: Updates, *, accumulating: bool, on_host: bool = False, cpu: bool = False
) -> Standing:
    """This device's part of weights and optimizer, the inputs, and gradients that wait.

    Args:
        net: The network.
        updates: How weights are updated.
        accumulating: Whether gradients wait.
        on_host: Whether the shards, and all that belongs to them, are in the host's memory.
        cpu: Whether that is the device's own memory.
    """
    lines = []
    shards = net.symbols[1]
    for of, part, times in parts_with_weights(net):
        many = "" if times == 1 else f"{times} × "
        size = times * sizes_of(net, part).shard
        formula = f"{many}4 P/N"
        lines.append(Line(f"shards of {of}", formula, size, "weights", "fp32 masters"))
        if accumulating or (on_host and not cpu):
            name = f"gradients of the shards of {of}"
            size = times * sizes_of(net, part).trained_shard
            lines.append(Line(name, formula, size, "gradients", SOURCE))
    lines += state_lines(net, updates, shards=shards)
    if on_host:
        lines = [replace(line, stream="host") for line in lines]
    lines += buffer_lines(net)
    lines += input_lines(net)
    return Standing.of(*lines, apart=on_host and not cpu)


class Dtypes(NamedTuple):
    """Bytes of the formats that travel, and how far.

    Attributes:
        fetched: Of the weights of blocks.
        reduced: Of gradients as they are added up.
        replicated: Whether groups of devices hold the same shards, and add up gradients once more.
    """

    fetched: int
    reduced: int
    replicated: bool = False


@dataclass
class _Step:
    """The moments of a step, in its order.

    Attributes:
        net: The network.
        base: What stands.
        updates: How weights are updated.
        width: Bytes of the dtype that blocks compute in.
        dtypes: Formats in which weights and gradients travel.
        accumulating: Whether sharded gradients stand.
        reshard: Whether weights are given back after the forward pass.
        found: The moments so far.
    """

    net: Sized
    base: Standing
    updates: Updates
    width: int
    dtypes: Dtypes
    accumulating: bool
    reshard: bool
    found: list[Moment] = field(default_factory=list)

    def add(self, name: str, parts: list[Part], *lines: Line | None) -> None:
        """One more moment."""
        there = tuple(line for line in lines if line is not None)
        self.found.append(moment(name, self.net, self.base, parts, there))

    @cached_property
    def root(self) -> int:
        """Bytes of the unit that holds what is no block."""
        middle = 0 if self.net.middle is None else self.net.blocks[self.net.middle].whole
        return self.net.front.whole + middle + self.net.tail.whole

    @cached_property
    def total(self) -> int:
        """Number of blocks."""
        return sum(count for kind, count in self.net.runs if kind != self.net.middle)

    @property
    def root_gradients(self) -> int:
        """Bytes of its gradients."""
        middle = 0
        if self.net.middle is not None:
            middle = self.net.blocks[self.net.middle].trained_whole
        return self.net.front.trained_whole + middle + self.net.tail.trained_whole

    def whole_root(self) -> Line:
        return _line("weights of embedding and output, fetched", "4 P", self.root, "weights")

    @property
    def shared(self) -> bool:
        """Whether weights travel at all: a device alone copies each one out of its shard."""
        return self.net.symbols[1] > 1

    def root_buffer(self) -> Line:
        name = "buffer that they are fetched into"
        return _line(name, "4 P", self.shared * self.root, "communication", "gather")

    def fetched(self, kind: int, times: int = 1) -> Line:
        size = times * self.net.blocks[kind].whole
        formula = f"{times} × {self.dtypes.fetched} P"
        return _line("weights of blocks, fetched", formula, size, "weights")

    def buffer(self, kind: int, name: str = "buffer that a block is fetched into") -> Line:
        size = self.shared * self.net.blocks[kind].whole
        return _line(name, f"{self.dtypes.fetched} P", size, "communication", "gather")

    def reduced(self, kind: int) -> Line:
        width = self.dtypes.reduced
        size = width * self.net.blocks[kind].trained_whole // self.dtypes.fetched
        return _line("buffer of a block's gradients", f"{width} P", size, "communication")

    def sums(self, kind: int) -> Line | None:
        """What the last block's shards were added up in, where it is not the gradients' memory."""
        own = self.accumulating or self.dtypes.reduced != 4
        if not self.dtypes.replicated or not own:
            return None
        size = self.reduced(kind).bytes // self.net.symbols[1]
        name = "buffer of the last block's shards, until the next is added up"
        return _line(name, f"{self.dtypes.reduced} P/N", size, "communication", "reduce")

    def router_buffer(self) -> Line:
        alignment, shards, *_ = self.net.symbols
        scope = dict(zip(SYMBOLS, self.net.symbols, strict=True))
        size = up(4 * -(-scope["E"] // shards) * shards * scope["D"], alignment)
        return _line(
            "buffer that a router is fetched into", "4 E D", size, "communication", "gather"
        )

    def stream(self, name: str, category: Category, kind: int) -> Line:
        alignment, _, batch, length, hidden = self.net.symbols[:5]
        symbol = "T"
        if self.net.middle is not None and kind < self.net.middle:
            symbol, length = "S", self.net.symbols[SYMBOLS.index("S")]
        size = -(-self.width * batch * length * hidden // alignment) * alignment
        return _line(name, f"{self.width} B {symbol} D", size, category)

    def sharded(self, size: int) -> Line | None:
        """Gradients of this device's parts, where they do not stand anyway."""
        if self.accumulating:
            return None
        stream: Stream = "host" if self.base.apart else "reduce"
        return _line("gradients of the shards", "4 P/N", size, "gradients", stream)

    def forward(self) -> list[Part]:
        """From the embedding to the loss; returns what is kept."""
        root = self.whole_root()
        self.add("fetching the embedding", [], root, self.root_buffer())
        # The buffer is let go once the next unit has been copied out of its own.
        late: Line | None = self.root_buffer()
        self.add("embedding, forward", [Part("front", "forward")], root, late)
        saved = [Part("front", "saved")]
        held: list[Line] = []
        done = 0
        notable = notable_runs(self.net.runs)
        for index, (kind, count) in enumerate(self.net.runs):
            if kind == self.net.middle:
                parts = [*saved, Part(kind, "forward")]
                self.add(f"{BETWEEN}, forward", parts, root, *held, late)
                saved.append(Part(kind, "saved"))
                continue
            if not done:
                # The root's own buffer goes when the first block has one.
                first = (self.fetched(kind), self.buffer(kind), self.root_buffer())
                self.add("fetching the first block", [*saved], root, *first)
            done += count
            routed = self.net.blocks[kind].forward_late
            own = self.router_buffer() if routed else self.buffer(kind, _LATE)
            before, late = own if count > 1 else late, self.buffer(kind, _LATE)
            if index not in notable:
                late = own
                saved.append(Part(kind, "saved", count))
                if not self.reshard:
                    held.append(self.fetched(kind, count))
                continue
            kept = [*saved, Part(kind, "saved", count - 1)]
            there = [root, *held, self.fetched(kind, 1 if self.reshard else count)]
            stream = self.stream("residual stream", "activations", kind)
            name = f"block {done} of {self.total}"
            self.add(f"fetching {name}", kept, *there, stream, self.buffer(kind), before)
            # The buffer lives until the next unit has its own, so that copying out overlaps.
            parts = [*kept, Part(kind, "forward")]
            self.add(f"{name}, forward", parts, *there, late)
            if routed:
                parts = [*kept, Part(kind, "forward_late")]
                self.add(f"{name}, forward, from its router on", parts, *there)
            late = own
            saved.append(Part(kind, "saved", count))
            if not self.reshard:
                held.append(self.fetched(kind, count))
        last = self.net.runs[-1][0]
        parts = [*saved, Part("tail", "forward")]
        self.add("loss", parts, root, *held, late)
        parts = [*saved, Part("tail", "saved")]
        if self.reshard:
            self.add("fetching the output again", parts, root, *held, self.root_buffer())
        ahead = self.buffer(last) if self.reshard else None
        self.add("loss, backward", [*saved, Part("tail", "backward")], root, *held, ahead)
        return saved

    def backward(self, saved: list[Part]) -> None:
        """From the last block to the embedding."""
        runs = self.net.runs
        done, shards = self.total, 0
        previous: Line | None = None
        notable = notable_runs(runs)
        for index in range(len(runs) - 1, -1, -1):
            kind, count = runs[index]
            saved.pop()
            if index not in notable:
                done -= count
                shards += count * self.net.blocks[kind].shard
                previous = self.reduced(kind)
                continue
            units = [run for run in runs[:index] if run[0] != self.net.middle]
            below = units[-1][0] if units else None
            held = [] if self.reshard else [self.fetched(*run) for run in units]
            if kind == self.net.middle:
                self.between(kind, saved, held, shards, previous, below)
                continue
            # In between memory moves in straight lines.
            for place in sorted({count - 1, max(0, count - 2), min(1, count - 1), 0}):
                finished = count - 1 - place
                self.block(
                    kind,
                    place,
                    f"block {done - finished} of {self.total}",
                    saved,
                    held,
                    gradients=self.sharded(shards + finished * self.net.blocks[kind].shard),
                    older=self.reduced(kind) if finished else previous,
                    following=kind if place else below,
                )
            done -= count
            shards += count * self.net.blocks[kind].shard
            previous = self.reduced(kind)
        self.end(shards, previous)

    def block(
        self,
        kind: int,
        place: int,
        name: str,
        saved: list[Part],
        held: list[Line],
        *,
        gradients: Line | None,
        older: Line | None,
        following: int | None,
    ) -> None:
        """The moments of the backward pass of one block; ``place`` of its kind are below it."""
        root = self.whole_root()
        sums = None if older is None else self.sums(kind)
        above = self.net.middle is not None and kind > self.net.middle
        ends = [Part("tail", "gradients")] if above else self.ends()
        kept = [*saved, Part(kind, "saved", place), *ends]
        below = None if self.reshard or not place else self.fetched(kind, place)
        there = [root, *held, below, gradients, sums]
        stream = self.stream("gradient of the residual stream", "temporaries", kind)
        ahead = self.buffer(following) if self.reshard and following is not None else None
        routed = self.net.blocks[kind].backward_late
        if self.reshard:
            parts = [*kept, Part(kind, "saved")]
            lines = (*there, older, self.fetched(kind), self.buffer(kind), stream)
            self.add(f"fetching {name} again", parts, *lines)
        parts = [*kept, Part(kind, "backward")]
        first = self.router_buffer() if self.reshard and routed else ahead
        self.add(f"{name}, backward", parts, *there, older, self.fetched(kind), first)
        if routed:
            parts = [*kept, Part(kind, "backward_router")]
            name_of = f"{name}, backward, its router"
            self.add(name_of, parts, *there, older, self.fetched(kind), ahead)
            parts = [*kept, Part(kind, "backward_late")]
            name_of = f"{name}, backward, from its router on"
            self.add(name_of, parts, *there, self.fetched(kind), ahead)
        parts = [*kept, Part(kind, "gradients")]
        self.add(
            f"{name}, gradients on their way", parts, *there, ahead, self.reduced(kind), stream
        )

    def between(
        self,
        kind: int,
        saved: list[Part],
        held: list[Line],
        shards: int,
        previous: Line | None,
        below: int | None,
    ) -> None:
        """The backward pass of what lies between two stacks; its weights are those of the ends."""
        ahead = self.buffer(below) if self.reshard and below is not None else None
        parts = [*saved, Part(kind, "backward"), Part("tail", "gradients")]
        lines = (self.whole_root(), *held, self.sharded(shards), previous, ahead)
        self.add(f"{BETWEEN}, backward", parts, *lines)

    def ends(self) -> list[Part]:
        """Gradients of the ends that wait for the embedding's."""
        middle = [] if self.net.middle is None else [Part(self.net.middle, "gradients")]
        return [Part("tail", "gradients"), *middle]

    def end(self, shards: int, previous: Line | None) -> None:
        """The embedding's backward pass, the gradients of its unit, and the update."""
        gradients = self.sharded(shards)
        parts = [Part("front", "backward"), *self.ends()]
        self.add("embedding, backward", parts, self.whole_root(), previous, gradients)
        self.add(
            "gradients of embedding and output on their way",
            [],
            gradients,
            _line("gradients of embedding and output", "4 P", self.root_gradients, "gradients"),
            _line(
                "buffer of their gradients",
                f"{self.dtypes.reduced} P",
                self.dtypes.reduced * self.root_gradients // 4,
                "communication",
            ),
        )
        middle = 0 if self.net.middle is None else self.net.blocks[self.net.middle].shard
        everything = shards + self.net.front.shard + middle + self.net.tail.shard
        extra = update_lines(self.net, self.updates, shards=self.net.symbols[1])
        self.add("optimizer", [], self.sharded(everything), *extra)


def moments(
    net: Sized,
    base: Standing,
    *,
    updates: Updates,
    width: int,
    dtypes: Dtypes,
    accumulating: bool,
    reshard: bool,
) -> list[Moment]:
    """The moments of a step.

    Args:
        net: The network.
        base: What stands.
        updates: How weights are updated.
        width: Bytes of the dtype that blocks compute in.
        dtypes: Formats in which weights and gradients travel.
        accumulating: Whether sharded gradients stand.
        reshard: Whether weights are given back after the forward pass.
    """
    step = _Step(net, base, updates, width, dtypes, accumulating, reshard)
    step.backward(step.forward())
    return step.found


def _line(
    name: str, formula: str, size: int, category: Category, stream: Stream = "compute"
) -> Line:
    return Line(name, formula, size, category, SOURCE, stream)
