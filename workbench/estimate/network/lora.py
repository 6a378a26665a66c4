"""`workbench.models.lora` on paper: which layers of which parts have adapters.

Frozen weights have no gradients, and where nothing before a layer learns there is no backward pass
through it: nothing is kept for it. So blocks that are alike may differ in what they keep.

Shapes: LA rank of the adapters.
"""

from __future__ import annotations

import fnmatch
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from workbench.config.linears import ALL_LINEAR, NEVER_ADAPTED, groups_of
from workbench.estimate.tape.tensor import Adapters

if TYPE_CHECKING:
    from workbench.config.schema import Config, ModelConfig

LORA_MEANINGS = {"LA": "lora.r"}

NOTHING = frozenset[str]()
_AFTER_CROSS = ("cross_attention.o_proj", "up_proj", "gate_proj", "down_proj")
_AFTER = (*_AFTER_CROSS, "cross_attention.", "attention.o_proj", "o_proj", "shared.")
"""Layers that come after attention to what was read, and after attention to the own text."""

Runs = tuple[tuple[int, int], ...]


class Kind(NamedTuple):
    """A kind of block.

    Attributes:
        routed: Whether it has experts.
        layers: Its layers that have an adapter.
        learns: Whether anything of it does.
        before: Whether anything before it does.
        stack: ``encoder``, ``between`` or ``decoder`` of a network with two; else empty.
        read: Whether what the encoder has read learns.
        last: Whether it is the last of a stack whose blocks add up gradients of what they share.
    """

    routed: bool = False
    layers: frozenset[str] = NOTHING
    learns: bool = True
    before: bool = True
    stack: str = ""
    read: bool = True
    last: bool = False


def name_of(kind: Kind, name: str) -> str:
    """The name of a kind of block, with adapters or without."""
    return f"{name} with adapters" if kind.layers else name


class LoraStructure(NamedTuple):
    """The adapters of a network.

    Attributes:
        kinds: The kinds of block.
        runs: (kind, number of blocks) from the first block to the last.
        bias: Which biases learn.
        dropout: Whether inputs of adapters are dropped.
        cpu: Whether CPU kernels run.
        tail: Layers behind the blocks that have an adapter: of a head, of heads for later tokens.
        before_the_end: Whether anything before them learns.
        early: Whether every block has a bias that learns and comes before attention.
    """

    kinds: tuple[Kind, ...]
    runs: Runs
    bias: str
    dropout: bool
    cpu: bool
    tail: frozenset[str] = NOTHING
    before_the_end: bool = True
    early: bool = False

    def adapters(self, layers: frozenset[str] = NOTHING) -> Adapters:
        """What learns in a part."""
        return Adapters(layers, self.bias, self.dropout, self.cpu)

    def passes(self, stack: str) -> bool:
        """Whether gradients pass through any block of a stack."""
        return any(
            kind.learns or kind.before or (kind.stack == "decoder" and kind.read)
            for kind in self.kinds
            if kind.stack == stack
        )

    def attends(self, stack: str, *, cross: bool = False) -> bool:
        """Whether queries, keys or values of any block of a stack learn.

        Args:
            stack: The stack.
            cross: Whether those of attention to what was read are meant.
        """
        late = _AFTER_CROSS if cross else _AFTER
        return any(
            self.early
            or kind.before
            or (cross and kind.read)
            or any(not layer.startswith(late) for layer in kind.layers)
            for kind in self.kinds
            if kind.stack == stack
        )

    def keeps(self, stack: str, *layers: str) -> bool:
        """Whether an adapter of one of these layers of a stack keeps what the layer reads."""
        names = frozenset(layers)
        return not self.dropout and any(
            kind.stack == stack and bool(kind.layers & names) for kind in self.kinds
        )


def lora_structure_of(config: Config, *, cpu: bool) -> LoraStructure | None:
    """The adapters of a config; None where every weight learns."""
    lora, model = config.lora, config.model
    if not lora.enabled:
        return None
    groups = tuple(
        (group.kind, group.prefix, tuple(group.places), tuple(each.name for each in group.linears))
        for group in groups_of(model, config.training.mtp)
    )
    everywhere = lora.bias == "all"
    found = _found(
        tuple(lora.target_modules),
        groups,
        model.model_type,
        everywhere and _has_biases(model),
        everywhere and model.model_type == "bert" and model.norm_type == "layernorm",
    )
    kinds, runs, tail, before = found
    early = everywhere and (model.norm_type == "layernorm" or model.attention_bias)
    early = early and model.model_type != "t5"
    return LoraStructure(kinds, runs, lora.bias, lora.dropout > 0, cpu, tail, before, early)


def _has_biases(model: ModelConfig) -> bool:
    """Whether every block has a bias, of a matrix or of a norm."""
    out = model.attention_out_bias
    return model.model_type != "t5" and (
        model.norm_type == "layernorm"
        or model.attention_bias
        or model.mlp_bias
        or (out is not None and out)
    )


@lru_cache(maxsize=256)
def _found(
    targets: tuple[str, ...],
    groups: tuple[tuple[str, str, tuple[int, ...], tuple[str, ...]], ...],
    family: str,
    biased: bool,  # noqa: FBT001 - a cached function takes positional arguments
    front: bool,  # noqa: FBT001
) -> tuple[tuple[Kind, ...], Runs, frozenset[str], bool]:
    """The kinds of block and their runs, the adapters behind them, and whether a block learns.

    Args:
        targets: ``lora.target_modules``.
        groups: Kind, prefix, places and names of the layers of each group of parts.
        family: The family of the network.
        biased: Whether biases of all blocks learn.
        front: Whether something learns that comes before the first block.
    """
    blocks, tail = [], set[str]()
    for kind, prefix, places, names in groups:
        for place in places:
            start = prefix.format(place)
            adapted = [name for name in names if _is_target(start + name, targets)]
            if kind in ("ahead", "head"):
                tail |= {start + _short(name, family) for name in adapted}
            else:
                chosen = frozenset(_short(name, family) for name in adapted)
                blocks.append((kind == "encoder", place, kind == "routed", chosen))
    if family == "t5":
        found, before = _two_stacks(blocks)
    else:
        before, found = front, []
        for _, _, routed, own in sorted(blocks, key=lambda each: each[1]):
            learns = biased or bool(own)
            found.append(Kind(routed, own, learns, before))
            before = before or learns
    kinds = tuple(dict.fromkeys(found))
    runs = tuple((kinds.index(kind), len(list(same))) for kind, same in groupby(found))
    return kinds, runs, frozenset(tail), before


def _two_stacks(
    blocks: list[tuple[bool, int, bool, frozenset[str]]],
) -> tuple[list[Kind], bool]:
    """The kinds of a t5's blocks in their order, and whether the last hidden state learns."""
    found, before = [], False
    for encodes, _, _, layers in blocks:
        if encodes:
            kind = Kind(layers=layers, learns=bool(layers), before=before, stack="encoder")
            found.append(kind)
            before = before or bool(layers)
    read = before
    found.append(Kind(learns=False, before=read, stack="between", read=read))
    before, written = False, [layers for encodes, _, _, layers in blocks if not encodes]
    for place, own in enumerate(written, start=1):
        last = read and place == len(written)
        found.append(Kind(False, own, bool(own), before, "decoder", read, last))
        before = before or read or bool(own)
    return found, before


def _is_target(name: str, targets: tuple[str, ...]) -> bool:
    last = name.rpartition(".")[2]
    if last in NEVER_ADAPTED:
        return False
    return any(each in (ALL_LINEAR, last) or fnmatch.fnmatchcase(name, each) for each in targets)


def _short(name: str, family: str) -> str:
    """The name of a layer as the mirror of its part has it."""
    if family == "t5":
        return name.removeprefix("feed_forward.")
    return name.replace("attention.", "").replace("feed_forward.", "")
