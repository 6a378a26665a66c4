"""`workbench.models.lora` on paper: which layers of which blocks have adapters.

Frozen weights have no gradients, and where nothing before a layer learns there is no backward pass
through it: nothing is kept for it. So blocks that are alike may differ in what they keep.

Shapes: LA rank of the adapters.
"""

from __future__ import annotations

import fnmatch
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from workbench.config.linears import ALL_LINEAR, groups_of, has_experts
from workbench.estimate.tape.tensor import Adapters

if TYPE_CHECKING:
    from workbench.config.schema import Config, ModelConfig

LORA_MEANINGS = {"LA": "lora.r"}

NOTHING = frozenset[str]()
Runs = tuple[tuple[int, int], ...]


class Kind(NamedTuple):
    """A kind of block.

    Attributes:
        routed: Whether it has experts.
        layers: Its layers that have an adapter.
        before: Whether anything before it learns.
    """

    routed: bool
    layers: frozenset[str] = NOTHING
    before: bool = True


class LoraStructure(NamedTuple):
    """The adapters of a network.

    Attributes:
        kinds: The kinds of block.
        runs: (kind, number of blocks) from the first block to the last.
        bias: Which biases learn.
        dropout: Whether inputs of adapters are dropped.
        cpu: Whether CPU kernels run.
    """

    kinds: tuple[Kind, ...]
    runs: Runs
    bias: str
    dropout: bool
    cpu: bool

    def adapters(self, layers: frozenset[str] = NOTHING) -> Adapters:
        """What learns in a part."""
        return Adapters(layers, self.bias, self.dropout, self.cpu)

    @property
    def before_the_end(self) -> bool:
        """Whether any block learns."""
        last = self.kinds[self.runs[-1][0]]
        return last.before or bool(last.layers)


def lora_structure_of(config: Config, *, cpu: bool) -> LoraStructure | None:
    """The adapters of a config; None where every weight learns."""
    lora, model = config.lora, config.model
    if not lora.enabled or model.model_type != "decoder":
        return None
    routed = tuple(has_experts(model, layer) for layer in range(model.num_layers))
    names = {False: (), True: ()} | {
        group.kind == "routed": tuple(linear.name for linear in group.linears)
        for group in groups_of(model)
    }
    learning = lora.bias == "all" and _has_biases(model)
    targets = tuple(lora.target_modules)
    kinds, runs = _kinds(targets, routed, names[False], names[True], learning)
    return LoraStructure(kinds, runs, lora.bias, lora.dropout > 0, cpu)


def _has_biases(model: ModelConfig) -> bool:
    """Whether every block has a bias, of a matrix or of a norm."""
    out = model.attention_out_bias
    return (
        model.norm_type == "layernorm"
        or model.attention_bias
        or model.mlp_bias
        or (out is not None and out)
    )


@lru_cache(maxsize=256)
def _kinds(
    targets: tuple[str, ...],
    routed: tuple[bool, ...],
    dense_names: tuple[str, ...],
    routed_names: tuple[str, ...],
    biased: bool,  # noqa: FBT001 - a cached function takes positional arguments
) -> tuple[tuple[Kind, ...], Runs]:
    """The kinds of block and their runs."""
    before, found = False, []
    for layer, has in enumerate(routed):
        names = routed_names if has else dense_names
        layers = frozenset(_short(name) for name in names if _is_target(name, layer, targets))
        found.append(Kind(has, layers, before))
        before = before or biased or bool(layers)
    kinds = tuple(dict.fromkeys(found))
    runs = tuple((kinds.index(kind), len(list(same))) for kind, same in groupby(found))
    return kinds, runs


def _is_target(name: str, layer: int, targets: tuple[str, ...]) -> bool:
    whole, last = f"blocks.{layer}.{name}", name.rpartition(".")[2]
    return any(each in (ALL_LINEAR, last) or fnmatch.fnmatchcase(whole, each) for each in targets)


def _short(name: str) -> str:
    """The name of a layer as the mirror of its block has it."""
    return name.removeprefix("attention.").removeprefix("feed_forward.")
