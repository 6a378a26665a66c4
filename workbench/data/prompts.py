"""Instructions for an encoder-decoder: it reads the prompt and writes the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.data.examples import Example
from workbench.data.order import Order, Shuffle

if TYPE_CHECKING:
    from workbench.data.store import Tokens


class PromptAnswer:
    """One record, one sequence: what is not learned is read, what is learned is written.

    Of a conversation the first answer is written; what follows is left out.

    Args:
        tokens: The records; their ``learn`` says where the answer begins.
        length: Tokens of either text at most.
        how: How the order is drawn.
        start: The token that the decoder begins with.
        limit: Records to use at most; None: all.
    """

    sequential = False

    def __init__(
        self, tokens: Tokens, *, length: int, how: Shuffle, start: int, limit: int | None = None
    ) -> None:
        self.tokens = tokens
        self.length = length
        self.start = start
        self.items = tokens.documents if limit is None else min(limit, tokens.documents)
        self._order = Order(self.items, how)

    def at(self, n: int) -> Example:
        """The n-th record of the run."""
        epoch, _, record = self._order.at(n)
        return self.cut(record, f", pass {epoch + 1}")

    def cut(self, record: int, remark: str = "") -> Example:
        """One record as what is read and what is written."""
        import numpy as np

        first, last = self.tokens.bounds(record)
        ids = self.tokens.ids[first:last].astype(np.int64)
        learn = self.tokens.learn
        flags = np.ones(last - first, dtype=np.bool_) if learn is None else learn[first:last]
        begin = int(flags.argmax())
        after = np.flatnonzero(~flags[begin:])
        end = begin + int(after[0]) if len(after) else len(ids)
        read = np.append(ids[:begin][: self.length - 1], ids[-1])
        written = ids[begin:end][: self.length]
        return Example(
            np.concatenate([[self.start], written[:-1]]),
            written,
            None,
            read,
            None,
            self.tokens.where(first).removesuffix(", from token 0") + remark,
        )

    def state(self, n: int) -> dict[str, Any]:  # noqa: ARG002 - the order is a pure function
        """Nothing: the order is a function of the seed."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Nothing to do."""
