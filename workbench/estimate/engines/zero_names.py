"""Names of weights as the model has them, and the order in which it registers them.

The tape meets weights as they are used, under names inside their block. PyTorch lists a module's
own parameters first and then those of its modules, each as its ``__init__`` made them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.estimate.network.network import Sized
    from workbench.estimate.tensors import Weight

_OWN = (
    "embedding", "position_embedding", "text_embedding", "encoder_distances", "distances",
    "lm_head_bias", "output_bias",
)  # fmt: skip
"""Parameters of the models themselves: they come before those of any block."""

_LATER = {"gate_proj": -1, "q_norm": 1, "k_norm": 1, "mtp": 1, "lora_a_RI": 1, "lora_b_OR": 2}
"""What is registered earlier (below 0) or later (above 0) among its neighbours than it is used."""

_ATTENTION = ("q_", "k_", "v_", "o_", "kv_")
_FEED_FORWARD = ("up_proj", "gate_proj", "down_proj", "router", "experts", "shared")


def is_own(name: str) -> bool:
    """Whether a weight is the model's own, of no block."""
    return name in _OWN


def own_place(name: str) -> int:
    """Its place among them."""
    return _OWN.index(name)


@lru_cache(maxsize=1024)
def registered(names: tuple[str, ...]) -> tuple[int, ...]:
    """The places of a part's weights in the order in which they are registered.

    Args:
        names: Their names in the model, as they are used.
    """
    return tuple(_ordered([(name.split("."), place) for place, name in enumerate(names)]))


def _ordered(paths: list[tuple[list[str], int]]) -> list[int]:
    if len(paths) == 1:
        return [paths[0][1]]
    modules: dict[str, list[tuple[list[str], int]]] = {}
    for (first, *rest), place in paths:
        modules.setdefault(first, []).append((rest, place))
    found = sorted(modules, key=lambda each: _LATER.get(each, 0))
    return [place for each in found for place in _ordered(modules[each])]


@lru_cache(maxsize=4096)
def model_name(name: str) -> str:
    """The name of a weight in its block, or in the model where it is in none, from the tape's."""
    if name.endswith((".lora_a", ".lora_b")):
        name += "_RI" if name.endswith("a") else "_OR"
    if name.startswith("mtp."):
        head, block, inside = name.partition(".block.")
        return head + block + model_name(inside) if block else name
    first = name.partition(".")[0]
    if first in _FEED_FORWARD:
        return f"feed_forward.{name}"
    return f"attention.{name}" if first.startswith(_ATTENTION) else name


def blocks_of(net: Sized) -> list[list[str]]:
    """For each row of blocks, what the names of each block's weights begin with."""
    stack = "encoder_blocks" if net.middle is not None else "blocks"
    found, place = [], 0
    for kind, count in net.runs:
        if kind == net.middle:
            stack, place = "blocks", 0
            found.append([""])
            continue
        found.append([f"{stack}.{place + turn}." for turn in range(count)])
        place += count
    return found


def is_spared(name: str, spared: tuple[str, ...]) -> bool:
    """Whether a weight has no decay by its name (`workbench.training.optim.groups.is_decayed`)."""
    return any(each.lower() in name.lower() for each in spared)


def grouped(net: Sized, weights: list[Weight], spared: tuple[str, ...]) -> list[Weight]:
    """Weights that know whether they have decay; those of some blocks alone may be spared."""
    begins: dict[str | int, list[str]] = {}
    for (kind, _), names in zip(net.runs, blocks_of(net), strict=True):
        begins.setdefault(kind, []).extend(names)
    found = []
    for each in weights:
        name = model_name(each.name)
        # The model's own weights are in no block, wherever the tape meets them.
        before = [""] if is_own(name) else begins.get(each.part, [""])
        without = sum(is_spared(begin + name, spared) for begin in before)
        for count, alone in ((len(before) - without, False), (without, True)):
            if count:
                found.append(each._replace(times=count, spared=alone))
    return found
