"""Several corpora in one run: each sequence is drawn from one of them, by weight.

Draws are independent and a pure function of the seed and the number of the sequence, so a resumed
run goes on exactly, and every process agrees. Within a corpus the sequences come in its own order.
"""

from __future__ import annotations

from itertools import accumulate
from threading import Lock
from typing import TYPE_CHECKING, Any

from workbench.data.order import raw_draws

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from workbench.data.examples import Example, Sequences

BLOCK = 1 << 16
"""Sequences that are drawn at once: a resumed run counts the draws of those before it, 10 ms for a
million sequences."""

# Keeps the draws apart from those of the orders, which use the small numbers.
_DRAWS = 1 << 41


def shares(weights: Sequence[float], temperature: float = 1.0) -> list[float]:
    """The probability of each corpus: ``p_i = n_i^(1/T) / sum_j n_j^(1/T)``.

    T = 1 keeps the proportions of the weights, larger T evens them out, and with infinite T all
    are equal (Arivazhagan et al., arXiv 1907.05019, section 4.2; mT5, arXiv 2010.11934, 3.1).

    Args:
        weights: Sizes or wanted weights, none negative, one at least above zero.
        temperature: T, above zero.
    """
    largest = max(weights)
    raised = [(weight / largest) ** (1.0 / temperature) for weight in weights]
    total = sum(raised)
    return [each / total for each in raised]


class Mixture:
    """Sequences drawn from several corpora.

    Args:
        parts: The sequences of each corpus.
        probabilities: The share of each; they add up to one.
        seed: Seed of the draws.
    """

    def __init__(
        self, parts: Sequence[Sequences], probabilities: Sequence[float], seed: int
    ) -> None:
        self.parts = parts
        self.probabilities = probabilities
        self.seed = seed
        self.sequential = any(part.sequential for part in parts)
        self._bounds = list(accumulate(probabilities))[:-1]
        self._lock = Lock()
        self._blocks: dict[int, NDArray[np.uint8]] = {}
        self._before: list[list[int]] = [[0] * len(parts)]

    def at(self, n: int) -> Example:
        """The n-th sequence of the run."""
        part, number = self.place(n)
        return self.parts[part].at(number)

    def place(self, n: int) -> tuple[int, int]:
        """Which corpus the n-th sequence comes from, and which of that corpus's it is."""
        block, inside = divmod(n, BLOCK)
        with self._lock:
            drawn, before = self._drawn(block), self._counts_before(block)
        part = int(drawn[inside])
        return part, before[part] + int((drawn[:inside] == part).sum())

    def state(self, n: int) -> dict[str, Any]:
        """The states of the parts."""
        block, inside = divmod(n, BLOCK)
        with self._lock:
            before, drawn = self._counts_before(block), self._drawn(block)[:inside]
        return {
            "parts": [
                part.state(before[i] + int((drawn == i).sum())) for i, part in enumerate(self.parts)
            ]
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Hand each part its own."""
        for part, each in zip(self.parts, state.get("parts", ()), strict=False):
            part.load_state(each)

    def _drawn(self, block: int) -> NDArray[np.uint8]:
        """The corpus of each sequence of a block."""
        import numpy as np

        kept = self._blocks.get(block)
        if kept is None:
            # The upper 53 bits as a number from 0 to 1, as everywhere.
            raw = raw_draws(self.seed, _DRAWS + block, BLOCK)
            uniform = (raw >> np.uint64(11)) * 2.0**-53
            kept = np.searchsorted(self._bounds, uniform, side="right").astype(np.uint8)
            if len(self._blocks) >= 4:
                del self._blocks[next(iter(self._blocks))]
            self._blocks[block] = kept
        return kept

    def _counts_before(self, block: int) -> list[int]:
        import numpy as np

        before = self._before
        while len(before) <= block:
            number = len(before) - 1
            counts = np.bincount(self._drawn(number), minlength=len(self.parts))
            row = [have + int(more) for have, more in zip(before[number], counts, strict=True)]
            before.append(row)
        return before[block]
