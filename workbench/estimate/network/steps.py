"""A pass through a part of the network, from one thing that an engine sees to the next.

Engines that take each gradient as it comes, or fetch the weights of each module, need to know what
else exists then, and what exists in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from workbench.estimate.network.symbols import SYMBOLS
from workbench.estimate.tape.compile import Tally, compile_sums, largest

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.estimate.tape.events import Event
    from workbench.estimate.tape.tensor import Tape


@dataclass(eq=False)
class Steps:
    """A pass as it was recorded; closed forms are made when somebody asks.

    Attributes:
        tape: The record.
        moments: The storages at each allocation.
        events: What an engine sees, in order; at the least the gradients.
        saved: The storages that are kept from the forward pass.
    """

    tape: Tape
    moments: list[int]
    events: tuple[Event, ...]
    saved: int

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The weights in the order in which their gradients come."""
        return tuple(each.name for each in self.events if each.kind == "come")

    def arrival(self, name: str) -> int:
        """Which event the gradient of a weight is."""
        return next(
            place
            for place, each in enumerate(self.events)
            if each.kind == "come" and each.name == name
        )

    def comes(self, group: int) -> bool:
        """Whether a group is what exists as a gradient comes."""
        return group % 2 == 1 and self.events[group // 2].kind == "come"

    @cached_property
    def groups(self) -> dict[str, tuple[Tally, ...]]:
        """What exists: for each event before it and as it comes, and after the last one.

        Nothing is allocated as weights go.
        """
        found, begin = {}, 0
        for index, each in enumerate(self.events):
            found[f"before {index}"] = self._tallies(self.moments[begin : each.place])
            grows = each.kind in ("fetch", "fetch back", "come")
            found[f"at {index}"] = self._tallies([each.live]) if grows else ()
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
