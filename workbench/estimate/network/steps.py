"""The backward pass of a part of the network, gradient by gradient.

Engines that take each gradient as it comes need to know what else exists then, and what exists
between one gradient and the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.estimate.network.symbols import SYMBOLS
from workbench.estimate.tape.compile import Tally, compile_sums, largest

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.estimate.tape.tensor import Parameter, Tape


class Arrival(NamedTuple):
    """A gradient that reaches its weight.

    Attributes:
        place: Allocations of the backward pass before it.
        live: The storages that exist then, its own among them.
        weight: The weight.
    """

    place: int
    live: int
    weight: Parameter


@dataclass(eq=False)
class Steps:
    """A backward pass as it was recorded; closed forms are made when somebody asks.

    Attributes:
        tape: The record.
        moments: The storages at each allocation.
        arrivals: The gradients as they came.
        saved: The storages that were kept from the forward pass.
    """

    tape: Tape
    moments: list[int]
    arrivals: list[Arrival]
    saved: int

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The weights in the order in which their gradients come."""
        return tuple(each.weight.name for each in self.arrivals)

    @cached_property
    def groups(self) -> dict[str, tuple[Tally, ...]]:
        """What exists: for each gradient before it and as it comes, and after the last one."""
        found, begin = {}, 0
        for index, each in enumerate(self.arrivals):
            found[f"before {index}"] = self._tallies(self.moments[begin : each.place])
            found[f"at {index}"] = self._tallies([each.live])
            begin = each.place
        found["after"] = self._tallies(self.moments[begin:])
        return found

    @cached_property
    def evaluate(self) -> Callable[..., tuple[int, ...]]:
        """The bytes of each group, in their order, from the symbols; asked for more than once."""
        function: Callable[..., Any] = compile_sums(self.groups, SYMBOLS)
        return lru_cache(maxsize=4)(function)

    def _tallies(self, moments: list[int]) -> tuple[Tally, ...]:
        return tuple(Tally.of(self.tape, live, self.saved) for live in largest(self.tape, moments))
