"""One record, one sequence: cut where it is too long, filled up by the batch where it is short.

Shapes: T tokens of a sequence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.data.buckets import Buckets
from workbench.data.order import Order, Shuffle
from workbench.data.windows import window_example
from workbench.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from workbench.data.examples import Example
    from workbench.data.store import Tokens


class Single:
    """The records of a run.

    Args:
        tokens: The records to learn from.
        length: Tokens of a sequence at most.
        how: How the order is drawn.
        truncation: Cut longer records; False refuses them.
        limit: Records to use at most; None: all.
        bounds: Lengths at which a new bucket begins; None: no buckets.
        group: Records of one bucket that come together.

    Raises:
        DataError: A record is too long, and may not be cut.
    """

    sequential = False

    def __init__(
        self,
        tokens: Tokens,
        *,
        length: int,
        how: Shuffle,
        truncation: bool = True,
        limit: int | None = None,
        bounds: list[int] | None = None,
        group: int = 1,
    ) -> None:
        self.tokens = tokens
        self.length = length
        self.items = tokens.documents if limit is None else min(limit, tokens.documents)
        if not truncation:
            self._refuse_longer()
        self._order: Order | Buckets = (
            Order(self.items, how)
            if bounds is None
            else Buckets(self._lengths().clip(max=length), how, bounds=bounds, group=group)
        )

    def at(self, n: int) -> Example:
        """The n-th record of the run."""
        epoch, _, record = self._order.at(n)
        return self.cut(record, f", pass {epoch + 1}")

    def cut(self, record: int, remark: str = "") -> Example:
        """One record as a sequence."""
        start, end = self.tokens.bounds(record)
        place = slice(start, min(end, start + self.length + 1))
        learn = self.tokens.learn
        return window_example(
            self.tokens.ids[place],
            None if learn is None else learn[place],
            None,
            self.tokens.where(start).removesuffix(", from token 0") + remark,
        )

    def state(self, n: int) -> dict[str, Any]:  # noqa: ARG002 - the order is a pure function
        """Nothing: the order is a function of the seed."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Nothing to do."""

    def _lengths(self) -> NDArray[np.int64]:
        """Positions that each record fills, when it is not cut."""
        import numpy as np

        starts = self.tokens.starts
        ends = np.append(starts[1:], len(self.tokens.ids))
        lengths: NDArray[np.int64] = (ends - starts - 1)[: self.items]
        return lengths

    def _refuse_longer(self) -> None:
        lengths = self._lengths()
        too_long = (lengths > self.length).nonzero()[0]
        if len(too_long):
            raise too_long_error(
                self.tokens.where(int(self.tokens.starts[too_long[0]])),
                int(lengths[too_long[0]]),
                self.length,
                longest=int(lengths.max()),
            )


def too_long_error(where: str, tokens: int, length: int, *, longest: int) -> DataError:
    """A record does not fit, and ``data.truncation`` is off."""
    return DataError(
        f"a record of {tokens:,} tokens does not fit sequences of {length:,}",
        where=where.removesuffix(", from token 0"),
        why="data.truncation is false, so nothing is cut",
        fix=f"--data.max_length {longest}, or --data.truncation true",
    )
