"""What FSDP2 holds of its units, in bytes and in words.

A unit is fetched into one buffer, copied out into its weights, and given back; where it travels in
another format than it is kept in, this device's part is cut to that format first. Gradients are
copied into one buffer, of which every device gets its part, in a tensor for the whole unit
(torch/distributed/fsdp/_fully_shard/_fsdp_collectives.py, torch 2.13).

Symbols: P numbers of a unit, N devices that share it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from workbench.estimate.engines.plan import Text
from workbench.estimate.ledger import Line
from workbench.estimate.network.symbols import SYMBOLS
from workbench.estimate.rounding import up

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.estimate.engines.plan import Extra, Layout
    from workbench.estimate.network.network import Sized
    from workbench.estimate.network.sizes import Sizes

SOURCE = "torch/distributed/fsdp/_fully_shard/_fsdp_collectives.py"

OWN = (
    "root", "root_buffer", "root_reduced", "root_part", "root_cast", "root_last", "router_buffer",
    "head_reduced", "heads",
)  # fmt: skip
"""What there is once, in the order of `own`."""

EACH = (
    "fetched", "buffer", "piece", "reduced", "part", "cast", "last", "sums", "shards", "slope",
)  # fmt: skip
"""What there is for each kind of block, in the order of `each`."""

TEXTS = {
    "root": Text("weights of embedding and output, fetched", "4 P", "weights"),
    "root_buffer": Text("buffer that they are fetched into", "4 P", "communication", "gather"),
    "root_reduced": Text("buffer of their gradients", "{r} P", "communication"),
    "root_part": Text("this device's part of their sums", "{r} P/N", "communication", "reduce"),
    "root_cast": Text("the same in fp32", "4 P/N", "communication", "reduce"),
    "root_last": Text("gradient of the last of them", "4 n", "gradients"),
    "router_buffer": Text(
        "buffer that a router is fetched into", "4 E D", "communication", "gather"
    ),
    "head_reduced": Text("buffer of a head's gradients", "{r} P", "communication"),
    "heads": Text("gradients and sums of the shards of heads", "4 P/N", "gradients", "reduce"),
    "fetched": Text("weights of blocks, fetched", "{f} P", "weights"),
    "buffer": Text("buffer that a block is fetched into", "{f} P", "communication", "gather"),
    "piece": Text(
        "this device's part of a block to be fetched", "{f} P/N", "communication", "gather"
    ),
    "reduced": Text("buffer of a block's gradients", "{r} P", "communication"),
    "part": Text(
        "this device's part of the sums of a block's gradients",
        "{r} P/N",
        "communication",
        "reduce",
    ),
    "cast": Text("the same in fp32", "4 P/N", "communication", "reduce"),
    "last": Text("gradient of the last weight of a block", "{f} n", "gradients"),
    "sums": Text(
        "sums of blocks that were added up over copies, until the end of the backward pass",
        "{r} P/N",
        "communication",
        "reduce",
    ),
    "shards": Text("gradients of the shards", "4 P/N", "gradients", "reduce"),
    "slope": Text("gradient of the residual stream", "{w} B {t} D", "temporaries"),
}


class Travel(NamedTuple):
    """How weights and gradients travel.

    Attributes:
        width: Bytes of the dtype that blocks compute in.
        fetched: Bytes of the format of the weights of blocks.
        reduced: Bytes of the format in which gradients are added up.
        replicated: Whether groups of devices hold the same shards, and add up gradients once more.
        accumulating: Whether sharded gradients stand.
        apart: Whether shards and their gradients are in another memory than the device's.
        heads: Number of heads for later tokens, each a unit.
    """

    width: int
    fetched: int
    reduced: int
    replicated: bool = False
    accumulating: bool = False
    apart: bool = False
    heads: int = 0


@dataclass(frozen=True, slots=True)
class Units:
    """The units of a network.

    Attributes:
        net: The network.
        travel: How they travel.
    """

    net: Sized
    travel: Travel

    def own(self) -> tuple[int, ...]:
        """Bytes of what there is once."""
        net, travel = self.net, self.travel
        alignment, shards = net.symbols[:2]
        ends = ends_of(net)
        whole = padded = learning = 0
        for each in ends:
            whole += each.whole
            padded += each.padded
            learning += each.padded_trained
        shared = shards > 1
        width = travel.reduced
        share = learning // shards
        router = 0
        if any(each.forward_late for each in net.blocks):
            experts, hidden = net.symbols[_E], net.symbols[_D]
            router = up(4 * -(-experts // shards) * shards * hidden, alignment)
        head = net.tail.padded_apart // max(1, travel.heads)
        if router and travel.heads:
            head -= -(-experts // shards) * shards * hidden
        return (
            whole,
            up(4 * padded, alignment) if shared else 0,
            up(width * learning, alignment),
            up(width * share, alignment),
            up(4 * share, alignment) if width != 4 else 0,
            up(4 * _last_of(net), alignment) if shared else 0,
            router,
            up(width * head, alignment),
            self._left_by(net.tail.padded_apart // shards, travel.heads),
        )

    def _left_by(self, share: int, units: int) -> int:
        """What units leave behind once their gradients have been added up."""
        travel, alignment = self.travel, self.net.symbols[0]
        if not units:
            return 0
        held = travel.accumulating or travel.apart
        found = 0 if held else up(4 * share // units, alignment)
        if travel.replicated and (held or travel.reduced != 4):
            found += up(travel.reduced * share // units, alignment)
        return units * found

    def each(self) -> list[tuple[int, ...]]:
        """Bytes of what there is for each kind of block."""
        return [self._kind(kind, sizes) for kind, sizes in enumerate(self.net.blocks)]

    def _kind(self, kind: int, sizes: Sizes) -> tuple[int, ...]:
        travel, symbols = self.travel, self.net.symbols
        alignment, shards, batch, length, hidden = symbols[:5]
        if self._reads(kind):
            length = symbols[_S]
        fetched, reduced = travel.fetched, travel.reduced
        padded, learning = sizes.padded, sizes.padded_trained
        shared = shards > 1
        share = learning // shards
        part, exact = up(reduced * share, alignment), up(4 * share, alignment)
        router = sizes.padded_apart // shards
        held = travel.accumulating or travel.apart
        stays = travel.replicated and (held or reduced != 4)
        slope = up(travel.width * batch * length * hidden, alignment)
        return (
            sizes.whole,
            up(fetched * padded, alignment) if shared else 0,
            up(fetched * padded // shards, alignment)
            if shared and (fetched != 4 or travel.apart)
            else 0,
            up(reduced * learning, alignment),
            part,
            exact if reduced != 4 else 0,
            up(fetched * sizes.last, alignment) if shared else 0,
            part + up(reduced * router, alignment) if stays else 0,
            0 if held else exact + up(4 * router, alignment),
            slope,
        )

    def gradients(self) -> tuple[Line, ...]:
        """Gradients of all shards, where they are on the device and do not stand anyway."""
        net = self.net
        alignment, shards = net.symbols[:2]
        ends = sum(each.padded_trained for each in ends_of(net))
        size = up(4 * ends // shards, alignment)
        size += up(4 * net.tail.padded_apart // shards, alignment)
        for kind, count in net.runs:
            if kind != net.middle:
                sizes = net.blocks[kind]
                size += count * up(4 * sizes.padded_trained // shards, alignment)
                size += count * up(4 * sizes.padded_apart // shards, alignment)
        text = TEXTS["shards"]
        return (Line(text.name, text.formula, size, text.category, SOURCE, text.stream),)

    def _reads(self, kind: int) -> bool:
        """Whether a kind of block belongs to an encoder."""
        return self.net.middle is not None and kind < self.net.middle

    def explain(self, layout: Layout, row: Sequence[int], extra: Extra) -> list[Line]:
        """What is held, as a line."""
        text = TEXTS[extra.what]
        words = {
            "f": self.travel.fetched,
            "r": self.travel.reduced,
            "w": self.travel.width,
            "t": "S" if self._reads(extra.kind) else "T",
        }
        formula = text.formula.format(**words)
        if extra.times != 1:
            formula = f"{extra.times} × {formula}"
        size = extra.times * row[layout.place(extra)]
        return [Line(text.name, formula, size, text.category, SOURCE, text.stream)]


_S, _D, _E = (SYMBOLS.index(each) for each in "SDE")


def ends_of(net: Sized) -> tuple[Sizes, ...]:
    """What is no block, and a unit together."""
    if net.middle is None:
        return (net.front, net.tail)
    return (net.front, net.blocks[net.middle], net.tail)


def _last_of(net: Sized) -> int:
    """Numbers of the last weight of that unit: children of a module come before its own weights.

    The loop in `foreach_reduce` holds on to its gradient.
    """
    if net.middle is not None:
        return net.blocks[net.middle].last
    tail = net.network.tail.parameters
    own = bool(tail) and tail[-1][0] in ("lm_head_bias", "output_bias")
    return net.tail.last if own else net.front.last
