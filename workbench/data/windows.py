"""Sequences of equal length, cut from one stream of tokens.

An epoch cuts the stream into windows that do not overlap, beginning at an offset of its own, and
visits them in an order of its own.

Shapes: T tokens of a sequence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.data.batches import IGNORE
from workbench.data.examples import Example
from workbench.data.order import Order, Shuffle

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from workbench.data.store import Tokens


class Windows:
    """The windows of a run.

    Args:
        tokens: The training stream, at least ``length + 1`` tokens.
        length: Tokens of a sequence.
        how: How the order is drawn.
        apart: Number the documents of each window, so that attention stays inside them; the first
            token of a document is then nobody's target.
        limit: Windows to use at most; None: all.
    """

    sequential = False

    def __init__(
        self,
        tokens: Tokens,
        *,
        length: int,
        how: Shuffle,
        apart: bool = False,
        limit: int | None = None,
    ) -> None:
        self.tokens = tokens
        self.length = length
        self.apart = apart
        # One window less than fit, so that the offset may be anything up to a whole window.
        windows = max(1, (len(tokens) - length) // length)
        largest = min(length - 1, len(tokens) - 1 - windows * length)
        self.items = windows if limit is None else min(windows, limit)
        self._order = Order(self.items, how, largest_offset=largest if limit is None else 0)

    def at(self, n: int) -> Example:
        """The n-th window of the run."""
        epoch, offset, window = self._order.at(n)
        return self.cut(offset + window * self.length, f", pass {epoch + 1}")

    def cut(self, start: int, remark: str = "") -> Example:
        """The window that begins at token ``start``."""
        place = slice(start, start + self.length + 1)
        learn = self.tokens.learn
        return window_example(
            self.tokens.ids[place],
            None if learn is None else learn[place],
            self._documents(start) if self.apart else None,
            self.tokens.where(start) + remark,
        )

    def state(self, n: int) -> dict[str, Any]:  # noqa: ARG002 - the order is a pure function
        """Nothing: the order is a function of the seed."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Nothing to do."""

    def _documents(self, start: int) -> NDArray[np.int64]:
        """The document of each of the ``length + 1`` tokens, the first being 0."""
        import numpy as np

        starts = self.tokens.starts
        first, last = starts.searchsorted([start, start + self.length], side="right")
        documents = np.zeros(self.length + 1, dtype=np.int64)
        documents[starts[first:last] - start] = 1
        return documents.cumsum()


def window_example(
    ids: NDArray[Any],
    learn: NDArray[np.bool_] | None,
    documents: NDArray[np.int64] | None,
    name: str,
) -> Example:
    """Inputs and targets from ``T + 1`` tokens; the target of a token is the next one."""
    import numpy as np

    cut = ids.astype(np.int64)
    tokens, targets = cut[:-1].copy(), cut[1:].copy()
    if learn is not None:
        targets[~learn[1:]] = IGNORE
    if documents is not None:
        targets[documents[1:] != documents[:-1]] = IGNORE
        documents = documents[:-1].copy()
    return Example(tokens, targets, documents, id=name)
