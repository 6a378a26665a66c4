"""The sequences that are evaluated and never trained on: the same ones in each evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.data.examples import stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from workbench.data.batches import MicroBatch
    from workbench.data.examples import Example


class HeldOut:
    """All held-out sequences, in micro-batches.

    Args:
        count: How many sequences there are.
        example: Gives the i-th, always the same.
        batch_size: Sequences of a micro-batch; the last one may hold fewer.
        padding: The token to fill sequences up with.
        left: Fill up before the text.
    """

    def __init__(
        self,
        count: int,
        example: Callable[[int], Example],
        *,
        batch_size: int,
        padding: int = 0,
        left: bool = False,
    ) -> None:
        self.count = count
        self.example = example
        self.batch_size = batch_size
        self.padding = padding
        self.left = left

    def __len__(self) -> int:
        """How many micro-batches there are."""
        return (self.count + self.batch_size - 1) // self.batch_size

    def batch(self, index: int) -> MicroBatch:
        """One micro-batch, from 0."""
        first = index * self.batch_size
        numbers = range(first, min(first + self.batch_size, self.count))
        return stack([self.example(i) for i in numbers], padding=self.padding, left=self.left)

    def batches(self, rank: int = 0, ranks: int = 1) -> Iterator[MicroBatch]:
        """The micro-batches that one of several processes evaluates."""
        for index in range(rank, len(self), ranks):
            yield self.batch(index)
