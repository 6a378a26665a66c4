"""Which item a run sees n-th, as a pure function of the seed and n.

An epoch visits every item once, in an order of its own. The n-th item of a run is item
``n mod items`` of epoch ``n div items``, so a resumed run needs no state, and 1 x 8 sequences are
the same as 8 x 1.

Shapes: W items (windows or records) of an epoch.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Shuffle(NamedTuple):
    """How the order of an epoch is drawn."""

    seed: int
    shuffle: bool = True
    """False: the order of the text."""
    reshuffle: bool = True
    """False: every epoch has the order of the first."""


class Order:
    """Epochs of ``items`` items.

    Args:
        items: How many there are, at least one.
        how: Seed and switches.
        largest_offset: Windows may begin up to so many tokens late; each epoch draws its own.
    """

    def __init__(self, items: int, how: Shuffle, *, largest_offset: int = 0) -> None:
        self.items = items
        self.how = how
        self.largest_offset = largest_offset
        self._epoch = lru_cache(maxsize=2)(self._make_epoch)

    def at(self, n: int) -> tuple[int, int, int]:
        """The epoch, its offset, and the item of the n-th place."""
        epoch, place = divmod(n, self.items)
        offset, order_W = self._epoch(epoch if self.how.reshuffle else 0)
        return epoch, offset, place if order_W is None else int(order_W[place])

    def permutation(self, epoch: int) -> NDArray[np.int64]:
        """All items in the order of an epoch."""
        import numpy as np

        order_W = self._epoch(epoch if self.how.reshuffle else 0)[1]
        return np.arange(self.items, dtype=np.int64) if order_W is None else order_W

    def _make_epoch(self, epoch: int) -> tuple[int, NDArray[np.int64] | None]:
        if not self.how.shuffle:
            return 0, None
        draws = raw_draws(self.how.seed, epoch, self.items + 1)
        return int(draws[0]) % (self.largest_offset + 1), draws[1:].argsort(kind="stable")


def raw_draws(seed: int, stream: int, count: int) -> NDArray[np.uint64]:
    """``count`` random 64-bit numbers that belong to ``seed`` and ``stream``."""
    import numpy as np

    # Raw Philox numbers: numpy promises that they never change, unlike those of permutation().
    draws: NDArray[np.uint64] = np.random.Philox(key=[seed, stream]).random_raw(count)
    return draws


def spread(items: int, count: int) -> list[int]:
    """Up to ``count`` of ``items`` numbers, from the first on, at even distances."""
    count = min(count, items)
    return [i * items // count for i in range(count)]
