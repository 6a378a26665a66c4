"""One sequence of a run, and how several become a micro-batch.

Shapes: B sequences of a micro-batch, T positions, S positions of an encoder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from workbench.data.batches import IGNORE, MicroBatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

PADDING_DOCUMENT = -1
"""The document number of positions that only fill a sequence up."""


class Example(NamedTuple):
    """One sequence. Arrays of several examples may differ in length: `stack` fills them up."""

    tokens_T: NDArray[np.int64]
    targets_T: NDArray[np.int64]
    documents_T: NDArray[np.int64] | None = None
    encoder_tokens_S: NDArray[np.int64] | None = None
    encoder_documents_S: NDArray[np.int64] | None = None
    id: str = ""
    """Where it comes from, in words."""


class Sequences(Protocol):
    """All sequences of a run, in order: a pure function of their number.

    What ``state`` returns only saves time: a fresh object gives the same sequences without it.
    """

    sequential: bool
    """Whether asking in any order but rising is slow: a stream, not an index."""

    def at(self, n: int) -> Example:
        """The n-th sequence of the run, from 0."""

    def state(self, n: int) -> dict[str, Any]:
        """What lets a fresh object give sequence ``n`` at once; JSON-ready, may be empty."""

    def load_state(self, state: dict[str, Any]) -> None:
        """Begin from what ``state`` returned."""


def stack(examples: Sequence[Example], *, padding: int, left: bool = False) -> MicroBatch:
    """Examples as one micro-batch, filled up to the longest.

    Args:
        examples: The sequences; either all have an encoder's part or none has.
        padding: The token to fill up with.
        left: Fill up before the text instead of after it.
    """
    tokens = _rows([each.tokens_T for each in examples], padding, left=left)
    targets = _rows([each.targets_T for each in examples], IGNORE, left=left)
    documents = _documents([(e.tokens_T, e.documents_T) for e in examples], left=left)
    encoder = encoder_documents = None
    if examples[0].encoder_tokens_S is not None:
        read = [e.encoder_tokens_S for e in examples if e.encoder_tokens_S is not None]
        encoder = _rows(read, padding, left=left)
        encoder_documents = _documents(
            [(r, e.encoder_documents_S) for r, e in zip(read, examples, strict=True)], left=left
        )
    return MicroBatch(
        tokens,
        targets,
        documents,
        encoder,
        encoder_documents,
        tuple(each.id for each in examples),
    )


def _rows(arrays: Sequence[NDArray[np.int64]], filler: int, *, left: bool) -> NDArray[np.int64]:
    import numpy as np

    longest = max(len(each) for each in arrays)
    if all(len(each) == longest for each in arrays):
        return np.stack(arrays)
    rows = np.full((len(arrays), longest), filler, dtype=np.int64)
    for row, each in zip(rows, arrays, strict=True):
        if left:
            row[longest - len(each) :] = each
        else:
            row[: len(each)] = each
    return rows


def _documents(
    pairs: Sequence[tuple[NDArray[np.int64], NDArray[np.int64] | None]], *, left: bool
) -> NDArray[np.int64] | None:
    """Document numbers, where they say anything: a mask, or rows that had to be filled up."""
    import numpy as np

    lengths = {len(tokens) for tokens, _ in pairs}
    if len(lengths) == 1 and all(documents is None for _, documents in pairs):
        return None
    return _rows(
        [
            np.zeros(len(tokens), dtype=np.int64) if documents is None else documents
            for tokens, documents in pairs
        ],
        PADDING_DOCUMENT,
        left=left,
    )
