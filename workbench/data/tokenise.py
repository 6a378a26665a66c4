"""Documents become tokens: one row of numbers, a separator after each document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.data.store import Tokens
from workbench.data.tokens import ByteTokenizer
from workbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from workbench.data.reading import Document
    from workbench.data.tokens import Row, Tokenizer

_AT_ONCE = 256  # documents: enough for a tokenizer's threads, little in memory


def token_type(vocab_size: int) -> np.dtype[Any]:
    """The smallest unsigned integer that holds every token."""
    import numpy as np

    return np.dtype(
        np.uint8 if vocab_size <= 2**8 else np.uint16 if vocab_size <= 2**16 else np.uint32
    )


def tokenise_each(
    documents: Sequence[Document], tokenizer: Tokenizer
) -> Iterator[tuple[NDArray[Any], NDArray[np.bool_] | None]]:
    """The tokens of each document with its separator, and which of them the loss counts.

    The second is None for a document of which all counts.
    """
    import numpy as np

    kind = token_type(tokenizer.vocab_size)
    for first in range(0, len(documents), _AT_ONCE):
        some = documents[first : first + _AT_ONCE]
        texts = [t for d in some for t in ([part.text for part in d.parts] or [d.text])]
        encoded = iter(tokenizer.encode_all(texts))
        for document in some:
            learn: list[bool] = []
            row: list[int] | NDArray[Any] = []
            if document.label is not None:
                pieces = [next(encoded) for _ in document.parts]
                yield _labelled(pieces, document.label, tokenizer, kind)
                continue
            if document.labels:
                pieces = [next(encoded) for _ in document.parts]
                yield _tagged(pieces, document.labels, tokenizer, kind)
                continue
            if not document.parts:
                row = next(encoded)
            else:
                joined: list[int] = []
                for part in document.parts:
                    piece = next(encoded)
                    joined.extend(piece)
                    learn.extend([part.learn] * len(piece))
                learn.append(document.parts[-1].learn)  # who learns an answer learns where it ends
                row = joined
            ids = np.empty(len(row) + 1, dtype=kind)
            ids[:-1] = row
            ids[-1] = tokenizer.separator
            yield ids, np.array(learn, dtype=np.bool_) if learn else None


def _labelled(
    pieces: Sequence[Row], label: int, tokenizer: Tokenizer, kind: np.dtype[Any]
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """A mark for the whole, each text with a separator, and last the class: all that is learned.

    Raises:
        DataError: The class has a number that no token has.
    """
    import numpy as np

    if label > np.iinfo(kind).max:
        raise DataError(
            f"there is a class of number {label:,}",
            where="data.label_field",
            why="classes are numbered from 0 without gaps, as many as model.num_labels says",
            fix="number the classes from 0",
        )
    ids = [tokenizer.first]
    for piece in pieces:
        ids += [*piece, tokenizer.separator]
    learn = np.zeros(len(ids) + 1, dtype=np.bool_)
    learn[-1] = True
    return np.array([*ids, label], dtype=kind), learn


def _tagged(
    pieces: Sequence[Row], labels: Sequence[int], tokenizer: Tokenizer, kind: np.dtype[Any]
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """A mark, the words and a separator; then, all that is learned, a number for each of them.

    The number is one more than the class at the first token of a word that has one, as BERT's
    authors predict it (arXiv 1810.04805, section 5.3), and 0 elsewhere.

    Raises:
        DataError: A class has a number that no token has.
    """
    import numpy as np

    if max(labels) + 1 > np.iinfo(kind).max:
        raise DataError(
            f"there is a class of number {max(labels):,}",
            where="data.label_field",
            why="classes are numbered from 0 without gaps, as many as model.num_labels says",
            fix="number the classes from 0",
        )
    ids, marks = [tokenizer.first], [0]
    for piece, label in zip(pieces, labels, strict=True):
        ids.extend(piece)
        marks += [max(label + 1, 0), *[0] * (len(piece) - 1)][: len(piece)]
    row = np.array([*ids, tokenizer.separator, *marks, 0], dtype=kind)
    return row, np.arange(len(row)) >= len(row) // 2


def tokenise(documents: Sequence[Document], tokenizer: Tokenizer, name: str = "") -> Tokens:
    """All documents in memory.

    Args:
        documents: The texts.
        tokenizer: Turns them into numbers.
        name: What all of them are called.
    """
    import numpy as np

    names = [document.name for document in documents]
    if isinstance(tokenizer, ByteTokenizer) and not any(each.parts for each in documents):
        lengths = np.array([len(each.text.encode()) + 1 for each in documents], dtype=np.int64)
        ids = tokenizer.stream(each.text for each in documents)
        return Tokens(ids, _starts(lengths), names=names, name=name)
    rows, masks = [], []
    for row, learn in tokenise_each(documents, tokenizer):
        rows.append(row)
        masks.append(learn)
    return join(rows, masks, token_type(tokenizer.vocab_size), names=names, name=name)


def join(
    rows: Sequence[NDArray[Any]],
    masks: Sequence[NDArray[np.bool_] | None],
    kind: np.dtype[Any],
    *,
    names: Sequence[str],
    name: str,
) -> Tokens:
    """Tokenised documents as one row."""
    import numpy as np

    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    learn = None
    if any(mask is not None for mask in masks):
        whole = [
            np.ones(length, dtype=np.bool_) if mask is None else mask
            for length, mask in zip(lengths, masks, strict=True)
        ]
        learn = np.concatenate(whole)
    ids = np.concatenate([*rows]) if rows else np.zeros(0, dtype=kind)
    return Tokens(ids, _starts(lengths), learn, names, name)


def _starts(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    import numpy as np

    if not len(lengths):
        return lengths
    starts = np.zeros(len(lengths), dtype=np.int64)
    np.cumsum(lengths[:-1], out=starts[1:])
    return starts
