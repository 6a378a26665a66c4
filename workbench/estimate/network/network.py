"""A whole network as a row of segments, compiled once per structure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from workbench.config.linears import layers_with_experts
from workbench.estimate.network import bert, decoder, t5_parts
from workbench.estimate.network.lora import Kind, name_of
from workbench.estimate.network.offload import with_offload
from workbench.estimate.network.segment import Ends, record
from workbench.estimate.network.sight import shared_mask
from workbench.estimate.network.sizes import Segment, Sizes
from workbench.estimate.network.symbols import SYMBOLS

if TYPE_CHECKING:
    from workbench.config.schema import ModelConfig
    from workbench.estimate.engines.zero_3_pass import Passes
    from workbench.estimate.engines.zero_3_stays import Stays
    from workbench.estimate.engines.zero_3_steps import Rules
    from workbench.estimate.engines.zero_flow import Plan
    from workbench.estimate.engines.zero_sizes import Pieces
    from workbench.estimate.network.lora import LoraStructure, Runs
    from workbench.estimate.network.structure import Structure
    from workbench.estimate.tape.tensor import Tape, Tensor
    from workbench.estimate.tensors import Weight


class Weighed(NamedTuple):
    """What follows from the sizes of a network's weights, as it was asked for.

    Attributes:
        weights: `tensors.weights_of` a network, by the number of shards.
        trained: Those of them that learn.
        pieces: `engines.zero_sizes.pieces_of` it, by all that was asked.
        passes: `engines.zero_3_pass.passes_of` it, likewise.
    """

    weights: dict[int, list[Weight]]
    trained: dict[int, list[Weight]]
    pieces: dict[tuple[int, tuple[str, ...] | None, bool], Pieces]
    passes: dict[tuple[Stays, Rules, Plan], Passes]


_MOST = 64
"""Sizes of weights that a network remembers."""


@dataclass(frozen=True, eq=False)
class Network:
    """The parts of a network.

    Attributes:
        front: What comes before the blocks; what it keeps is shared by all of them.
        blocks: The kinds of block.
        tail: The last norm and the loss.
        weighty: `engines.base.parts_with_weights` of rows of blocks, as they were asked for.
        known: `weighed` by rows of blocks and sizes.
    """

    front: Segment
    blocks: tuple[Segment, ...]
    tail: Segment
    weighty: dict[tuple[tuple[int, int], ...], list[tuple[str, str | int, int]]] = field(
        default_factory=dict, repr=False
    )
    known: dict[tuple[Runs, tuple[int, ...]], Weighed] = field(default_factory=dict, repr=False)

    def weighed(self, runs: Runs, symbols: tuple[int, ...]) -> Weighed:
        """What is known of the weights: micro-batches do not change them."""
        key = runs, tuple([symbols[place] for place in self._of_weights])
        found = self.known.get(key)
        if found is None:
            if len(self.known) >= _MOST:
                self.known.clear()
            found = self.known[key] = Weighed({}, {}, {}, {})
        return found

    @cached_property
    def _of_weights(self) -> tuple[int, ...]:
        """The places of the symbols that weights have for dimensions."""
        segments = (self.front, *self.blocks, self.tail)
        dims = {str(dim) for s in segments for _, shape in s.parameters for dim in shape}
        names = {name for dim in dims for name in re.findall(r"[A-Z]\w*", dim)}
        return tuple(place for place, name in enumerate(SYMBOLS) if name in names)


@dataclass(frozen=True, slots=True)
class Sized:
    """A network with numbers.

    Attributes:
        network: The closed forms.
        symbols: The numbers that stand for the symbols.
        runs: (kind, number of blocks) from the first block to the last.
        front: Bytes of the front.
        blocks: Bytes of each kind of block.
        tail: Bytes of the tail.
        inputs: Tensors of ids of a micro-batch: of what is written, of what an encoder reads.
        middle: The kind that stands among the blocks and belongs to the ends; None: none does.
        weighed: What is known of its weights.
        remembers: Bytes of an element of the masks that a CPU's attention keeps for its next call;
            0 where it keeps none.
        special: Whether the loss is another than the plain one.
        ahead: Whether later tokens are predicted.
    """

    network: Network
    symbols: tuple[int, ...]
    runs: tuple[tuple[int, int], ...]
    front: Sizes
    blocks: tuple[Sizes, ...]
    tail: Sizes
    inputs: tuple[int, int]
    middle: int | None
    weighed: Weighed
    remembers: int
    special: bool
    ahead: bool


@lru_cache(maxsize=256)
def compiled(s: Structure, *, accumulating: bool, waiting: bool, alone: bool = False) -> Network:
    """The closed forms of a structure.

    Args:
        s: The structure.
        accumulating: Whether gradients exist before the backward pass begins.
        waiting: Whether they are given up one by one, as DDP copies them into its buckets.
        alone: Whether to add, after the kinds of block, each of them as the first block alone.
    """
    if s.family == "bert":
        return Network(*bert.parts(s, accumulating=accumulating, waiting=waiting))
    if s.family == "t5":
        return Network(*t5_parts.parts(s, accumulating=accumulating, waiting=waiting))

    def front(tape: Tape, given: list[Tensor]) -> tuple[Tensor, decoder.Tables]:
        del given
        return decoder.front(tape, s)

    def block(
        tape: Tape, x: Tensor, mask: Tensor | None = None, *, routed: bool = False
    ) -> Tensor | decoder.Found:
        return decoder.block(tape, x, s, decoder.shared_tables(s, mask), routed=routed)

    def tail(tape: Tape, given: list[Tensor]) -> Tensor:
        return decoder.tail(tape, given, s)

    ends: Ends = {"accumulating": accumulating, "waiting": waiting}
    recomputed = s.recompute != "none"
    width = s.weight_width

    def kind(each: Kind, *, first: bool = False) -> Segment:
        first = first or (s.lora is not None and s.lora.runs[0] == (s.lora.kinds.index(each), 1))
        return record(
            name_of(each, "block with experts" if each.routed else "block"),
            s,
            partial(block, routed=each.routed),
            recomputed=recomputed,
            weight_width=width,
            extras=(*shared_mask(s), *decoder.beside(s, first=first)),
            lora=None if s.lora is None else s.lora.adapters(each.layers),
            learns_before=each.before,
            **ends,
        )

    kinds = [Kind(routed=False)] if s.moe is None else [Kind(routed=False), Kind(routed=True)]
    lora = last = None
    if s.lora is not None:
        kinds, lora, last = list(s.lora.kinds), s.lora.adapters(), s.lora.adapters(s.lora.tail)
    before = s.lora is None or s.lora.before_the_end
    return Network(
        record("embedding", s, front, has_input=False, lora=lora, **ends),
        tuple(kind(each, first=first) for first in (False, True)[: 1 + alone] for each in kinds),
        record(
            "loss",
            s,
            tail,
            takes_input=True,
            extras=decoder.behind_blocks(s),
            lora=last,
            learns_before=before,
            **ends,
        ),
    )


def sized(
    s: Structure, runs: Runs, symbols: tuple[int, ...], *, accumulating: bool, waiting: bool = False
) -> Sized:
    """The bytes of a network.

    Args:
        s: Its structure.
        runs: (kind, number of blocks) from the first block to the last.
        symbols: The numbers.
        accumulating: Whether gradients exist before the backward pass begins.
        waiting: Whether they are given up one by one.
    """
    if s.offloads:
        s = with_offload(s, symbols)
    alone = s.lora is None and runs[0][1] == 1 and decoder.begins_with_embedding(s)
    network = compiled(s, accumulating=accumulating, waiting=waiting, alone=alone)
    if alone:
        kind, count = runs[0]
        runs = ((len(network.blocks) // 2 + kind, count), *runs[1:])
    return Sized(
        network,
        symbols,
        runs,
        Sizes(*network.front.evaluate(*symbols)),
        tuple(Sizes(*block.evaluate(*symbols)) for block in network.blocks),
        Sizes(*network.tail.evaluate(*symbols)),
        (2 + s.options.documents, 1 + s.options.documents if s.family == "t5" else 0),
        t5_parts.middle_of(s) if s.family == "t5" else None,
        network.weighed(runs, symbols),
        s.width if s.blocked_attention else 0,
        s.options.special is not None,
        s.mtp is not None,
    )


def runs_of(model: ModelConfig, lora: LoraStructure | None) -> Runs:
    """(kind, number of blocks) from the first block of a network to the last."""
    if lora is not None:
        return lora.runs
    if model.model_type == "t5":
        return t5_parts.runs(model)
    if model.num_experts <= 1:
        return ((0, model.num_layers),)
    kinds = layers_with_experts(model)
    return tuple((int(kind), len(list(same))) for kind, same in groupby(kinds))
