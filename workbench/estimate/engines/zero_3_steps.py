"""What ZeRO stage 3 is told, and by which rules it fetches weights."""

from __future__ import annotations

from typing import NamedTuple


class Rules(NamedTuple):
    """How weights travel.

    Attributes:
        devices: Devices that share each weight.
        width: Bytes of a number.
        alignment: What an allocator gives is a multiple of it.
        ahead: Numbers that are fetched ahead at each module.
        live: Numbers that may be whole at a time, if it is for those that are fetched ahead.
        reuse: Numbers within which a weight that is needed again is kept.
        summed: Whether they travel as a sum of mostly zeros.
        comes_over: Whether pieces come from the memory of a host.
        accumulating: Whether a step has several micro-batches.
    """

    devices: int
    width: int
    alignment: int
    ahead: int
    live: int
    reuse: int
    summed: bool
    comes_over: bool
    accumulating: bool


class Step(NamedTuple):
    """A module begins or ends.

    Attributes:
        module: Its number.
        begins: Whether it begins.
        backward: Whether that is on the way back.
        weights: Its weights, in the order in which it registers them.
        inside: Whether a block is computed again meanwhile.
    """

    module: int
    begins: bool
    backward: bool
    weights: tuple[int, ...]
    inside: bool = False


class Hold(NamedTuple):
    """Something begins or ends to hold the memory that a weight has.

    Attributes:
        weight: The weight.
        begins: Whether it begins.
    """

    weight: int
    begins: bool


Decided = dict[tuple[int, int], frozenset[int]]
"""The weights that go, by module and by how many have begun."""
