"""An order in which records of similar length come together, so that little is filled up.

Shapes: W records of an epoch.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from workbench.data.order import Order, Shuffle, raw_draws

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Keeps the draws of the groups apart from those of the records.
_GROUPS = 1 << 40


def default_bounds(length: int) -> list[int]:
    """Doubling lengths below ``length``."""
    bounds, bound = [], 16
    while bound < length:
        bounds.append(bound)
        bound *= 2
    return bounds


class Buckets:
    """Epochs in which every record comes once, in groups of one bucket.

    Groups begin where the sequences of a step begin, also in the second epoch: its first records
    complete the last group of the first.

    Args:
        lengths_W: Tokens of each record.
        how: How the order is drawn.
        bounds: Lengths at which a new bucket begins, rising.
        group: Records that come together.
    """

    def __init__(
        self, lengths_W: NDArray[np.int64], how: Shuffle, *, bounds: list[int], group: int
    ) -> None:
        import numpy as np

        self.items = len(lengths_W)
        self.how = how
        self.group = group
        self.bucket_W = np.searchsorted(np.asarray(bounds), lengths_W, side="right")
        self._records = Order(self.items, how)
        self._epoch = lru_cache(maxsize=2)(self._make_epoch)

    def at(self, n: int) -> tuple[int, int, int]:
        """The epoch, 0, and the record of the n-th place."""
        epoch, place = divmod(n, self.items)
        return epoch, 0, int(self._epoch(epoch)[place])

    def _make_epoch(self, epoch: int) -> NDArray[np.int64]:
        import numpy as np

        order_W, size = self._records.permutation(epoch), self.group
        bucket_W = self.bucket_W[order_W]
        groups: list[NDArray[np.int64]] = []
        rest: list[NDArray[np.int64]] = []
        for bucket in np.unique(bucket_W):
            members = order_W[bucket_W == bucket]
            full = len(members) // size * size
            groups += list(members[:full].reshape(-1, size))
            rest.append(members[full:])
        loose = np.concatenate(rest)
        begun = min(-epoch * self.items % size, self.items)
        while len(loose) < begun:
            loose = np.concatenate([groups.pop(), loose])
        first, loose = loose[:begun], loose[begun:]
        while len(loose) >= size:
            groups.append(loose[:size])
            loose = loose[size:]
        if self.how.shuffle and groups:
            stream = _GROUPS + (epoch if self.how.reshuffle else 0)
            places = raw_draws(self.how.seed, stream, len(groups)).argsort(kind="stable")
            groups = [groups[place] for place in places]
        return np.concatenate([first, *groups, loose])
