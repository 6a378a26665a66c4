"""Texts with a class, predicted at the first position, and words with classes, each at its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.data.batches import IGNORE
from workbench.data.examples import Example
from workbench.data.order import Order, Shuffle
from workbench.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from workbench.data.store import Tokens


class Labelled:
    """One record, one sequence; the last token of a record is the number of its class.

    Args:
        tokens: The records.
        length: Tokens of a sequence at most; what is longer is cut.
        how: How the order is drawn.
        classes: How many classes the model has.
        limit: Records to use at most; None: all.

    Raises:
        ConfigError: A class has a number that the model has no output for.
    """

    sequential = False

    def __init__(
        self, tokens: Tokens, *, length: int, how: Shuffle, classes: int, limit: int | None = None
    ) -> None:
        self.tokens = tokens
        self.length = length
        self.items = tokens.documents if limit is None else min(limit, tokens.documents)
        self._refuse_more(classes)
        self._order = Order(self.items, how)

    def at(self, n: int) -> Example:
        """The n-th record of the run."""
        epoch, _, record = self._order.at(n)
        return self.cut(record, f", pass {epoch + 1}")

    def cut(self, record: int, remark: str = "") -> Example:
        """One record as a sequence."""
        import numpy as np

        start, end = self.tokens.bounds(record)
        shown = self.tokens.ids[start : min(end - 1, start + self.length)].astype(np.int64)
        targets = np.full(len(shown), IGNORE, dtype=np.int64)
        targets[0] = self.tokens.ids[end - 1]
        name = self.tokens.where(start).removesuffix(", from token 0")
        return Example(shown, targets, id=name + remark)

    def state(self, n: int) -> dict[str, Any]:  # noqa: ARG002 - the order is a pure function
        """Nothing: the order is a function of the seed."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Nothing to do."""

    def _labels(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Every class, and a token of the record that it stands in."""
        import numpy as np

        ends = np.append(self.tokens.starts[1:], len(self.tokens.ids))
        return self.tokens.ids[ends - 1].astype(np.int64), self.tokens.starts.astype(np.int64)

    def _refuse_more(self, classes: int) -> None:
        labels, places = self._labels()
        if len(labels) and (largest := int(labels.max())) >= classes:
            where = self.tokens.where(int(places[int(labels.argmax())]))
            raise ConfigError(
                f"there is a class of number {largest:,}, and the model has {classes:,} classes",
                where=where.removesuffix(", from token 0"),
                why="classes are numbered from 0; model.num_labels says how many there are",
                fix=f"--model.num_labels {largest + 1}",
            )


class Tagged(Labelled):
    """One record, one sequence; its second half holds one more than the class of each token.

    0 is no class: of a word only the first token has one.
    """

    def cut(self, record: int, remark: str = "") -> Example:
        """One record as a sequence."""
        import numpy as np

        start, end = self.tokens.bounds(record)
        half = (end - start) // 2
        kept = min(half, self.length)
        shown = self.tokens.ids[start : start + kept].astype(np.int64)
        marks = self.tokens.ids[start + half : start + half + kept].astype(np.int64)
        name = self.tokens.where(start).removesuffix(", from token 0")
        return Example(shown, np.where(marks > 0, marks - 1, IGNORE), id=name + remark)

    def _labels(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        import numpy as np

        assert self.tokens.learn is not None
        places = np.flatnonzero(self.tokens.learn)
        return self.tokens.ids[places].astype(np.int64) - 1, places
