"""The largest moment of each part of a step: of every block forwards and backwards, and the rest.

A part of a step grows with the number of blocks in a straight line, each at a rate of its own; the
largest moment of the whole step does not. So these are what `deep.py` extrapolates from.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.training.tracer.storages import Storages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch
    from torch import nn


class Phase(NamedTuple):
    """A part of a step.

    Attributes:
        stack: The stack of blocks; empty for what is no block.
        block: Number of the block, from the first; -1 for what comes before it.
        backward: Whether it is on the way back.
    """

    stack: str
    block: int
    backward: bool


UPDATE = Phase("", 0, backward=True)


@dataclass
class Phased(Storages):
    """Remembers the largest moment of each phase.

    Attributes:
        peaks: The most that has existed in each phase.
        phase: The phase at hand.
    """

    peaks: dict[Phase, int] = field(default_factory=dict)
    phase: Phase = Phase("", 0, backward=False)  # noqa: RUF009 - a named tuple does not change

    def add(self, tensor: torch.Tensor, name: str) -> None:
        """Count the storage of a tensor, once."""
        super().add(tensor, name)
        if self.bytes > self.peaks.get(self.phase, 0):
            self.peaks[self.phase] = self.bytes

    def follow(self, stacks: Mapping[str, Sequence[nn.Module]], engine: Any = None) -> None:
        """From now on, tell the phases apart.

        Args:
            stacks: The blocks of each stack, first to last.
            engine: Its ``update`` is a phase of its own.
        """
        self.peaks.clear()
        self.phase = Phase("", 0, backward=False)
        for stack, blocks in stacks.items():
            for number, block in enumerate(blocks):
                block.register_forward_pre_hook(_Entry(self, stack, number), with_kwargs=True)
        if engine is not None:
            update = engine.update

            def watched(**options: Any) -> Any:
                self.phase = UPDATE
                found = update(**options)
                self.phase = Phase("", 0, backward=False)
                return found

            engine.update = watched


class _Entry:
    """A block begins forwards; its input's gradient is the end of it backwards."""

    def __init__(self, storages: Phased, stack: str, number: int) -> None:
        self.storages, self.stack, self.number = storages, stack, number

    def __call__(self, _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        storages = self.storages
        # A block that is computed again in the backward pass is a part of that.
        if storages.phase.backward and storages.phase != UPDATE and storages.phase.block >= 0:
            return
        storages.phase = Phase(self.stack, self.number, backward=False)
        x = args[0] if args else kwargs.get("hidden_states")
        if x is not None and x.requires_grad:
            x.register_hook(self.left)

    def left(self, _gradient: torch.Tensor) -> None:
        """The block before it begins on the way back."""
        self.storages.phase = Phase(self.stack, self.number - 1, backward=True)
