"""The tokens of a text, in memory or mapped from a file, and where its documents begin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Tokens:
    """Documents one after the other, a separator after each.

    Attributes:
        ids: All tokens.
        starts: Where each document begins; rising, the first is 0. None where nobody asked.
        learn: Whether each token counts as a target; None: all do.
        names: What each document is called; empty where the names are not kept.
        name: What all of it is called, for documents without names.
    """

    ids: NDArray[Any]
    starts: NDArray[np.int64]
    learn: NDArray[np.bool_] | None = None
    names: Sequence[str] = ()
    name: str = ""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def documents(self) -> int:
        """How many there are."""
        return len(self.starts)

    def bounds(self, document: int) -> tuple[int, int]:
        """Where a document begins and where it ends, its separator included."""
        last = document + 1 == len(self.starts)
        end = len(self.ids) if last else int(self.starts[document + 1])
        return int(self.starts[document]), end

    def where(self, start: int) -> str:
        """The place of a token, in words."""
        document = int(self.starts.searchsorted(start, side="right")) - 1
        offset = start - int(self.starts[document])
        called = self.names[document] if self.names else f"{self.name} document {document + 1:,}"
        return f"{called}, from token {offset:,}"
