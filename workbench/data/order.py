"""Which tokens a step sees, as a pure function of the seed and the step.

An epoch cuts the stream into windows that do not overlap, beginning at an offset of its own, and
visits them in an order of its own. The n-th sequence of a run is window ``n mod windows`` of epoch
``n div windows``, so a resumed run needs no state, and 1 x 8 sequences are the same as 8 x 1.

Shapes: B sequences of a micro-batch, T tokens of a sequence, W windows of an epoch.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class DataOrder:
    """The batches of a run.

    Args:
        tokens: The training stream, at least ``length + 1`` tokens.
        length: Tokens of a sequence.
        batch_size: Sequences of a micro-batch.
        accumulation: Micro-batches of a step.
        seed: Seed of the order.
    """

    def __init__(
        self, tokens: NDArray[Any], *, length: int, batch_size: int, accumulation: int, seed: int
    ) -> None:
        self.tokens = tokens
        self.length = length
        self.batch_size = batch_size
        self.accumulation = accumulation
        self.seed = seed
        # One window less than fit, so that the offset may be anything up to a whole window.
        self.windows = max(1, (len(tokens) - length) // length)
        self._largest_offset = min(length - 1, len(tokens) - 1 - self.windows * length)
        self._epoch = lru_cache(maxsize=2)(self._make_epoch)

    def batch(self, step: int, micro: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Inputs and targets (B, T) of a micro-batch; the target of a token is the next one.

        Args:
            step: The optimizer step, from 1.
            micro: The micro-batch of the step, from 0.
        """
        first = ((step - 1) * self.accumulation + micro) * self.batch_size
        starts = [self._start(first + i) for i in range(self.batch_size)]
        return rows(self.tokens, starts, self.length)

    def _start(self, sequence: int) -> int:
        epoch, place = divmod(sequence, self.windows)
        offset, order_W = self._epoch(epoch)
        return offset + int(order_W[place]) * self.length

    def _make_epoch(self, epoch: int) -> tuple[int, NDArray[np.int64]]:
        import numpy as np

        # Raw Philox numbers: numpy promises that they never change, unlike those of permutation().
        draws = np.random.Philox(key=[self.seed, epoch]).random_raw(self.windows + 1)
        order_W = np.argsort(draws[1:], kind="stable")
        return int(draws[0]) % (self._largest_offset + 1), order_W


def validation_starts(tokens: NDArray[Any], length: int, count: int) -> list[int]:
    """Where the held-out sequences begin: up to ``count``, spread evenly, never overlapping."""
    windows = (len(tokens) - 1) // length
    count = min(count, windows)
    return [i * windows // count * length for i in range(count)]


def rows(
    tokens: NDArray[Any], starts: list[int], length: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Inputs and targets (B, T) of the windows that begin at ``starts``."""
    import numpy as np

    cut = np.stack([tokens[start : start + length + 1] for start in starts]).astype(np.int64)
    return np.ascontiguousarray(cut[:, :-1]), np.ascontiguousarray(cut[:, 1:])
