"""Text to numbers and back: one byte of UTF-8 is one token, or a trained tokenizer.

Of the bytes, 0 never occurs in text (files with it are refused), so it separates documents. 254 and
255 never occur in UTF-8: they stand for a whole text (BERT's ``[CLS]``) and for a hidden token
(``[MASK]``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray

Row: TypeAlias = "list[int] | NDArray[Any]"
"""Some tokens."""


class Tokenizer(Protocol):
    """Turns text into numbers and back."""

    name: str
    vocab_size: int
    separator: int
    """The token after each document."""
    first: int
    """Stands before a text that is given a class: BERT's ``[CLS]``."""
    mask: int | None
    """Stands for a hidden token; None where the vocabulary has none."""
    sentinels: tuple[int, ...]
    """T5's marks of left out spans, the first first; empty where the vocabulary has none."""
    padding: int
    """Fills sequences up; what it is does not matter, because nobody looks at it."""

    def encode(self, text: str) -> list[int]:
        """The tokens of a text, without any that the text does not hold."""

    def encode_all(self, texts: Sequence[str]) -> list[Row]:
        """The tokens of several texts."""

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of tokens."""


class ByteTokenizer:
    """256 tokens, and no text that it cannot write."""

    name = "bytes"
    vocab_size = 256
    separator = 0
    padding = 0
    first = 254
    mask: int | None = 255
    sentinels: tuple[int, ...] = ()

    def encode(self, text: str) -> list[int]:
        """The bytes of the text."""
        return list(text.encode("utf-8", "replace"))

    def encode_all(self, texts: Sequence[str]) -> list[Row]:
        """The bytes of several texts."""
        import numpy as np

        return [np.frombuffer(text.encode(), dtype=np.uint8) for text in texts]

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of the bytes; what is no byte of UTF-8 becomes a replacement character."""
        known = (token if token < self.vocab_size else 255 for token in tokens)
        return bytes(known).decode("utf-8", "replace")

    def stream(self, texts: Iterable[str]) -> NDArray[np.uint8]:
        """All texts in one row of tokens, a separator after each."""
        import numpy as np

        joined = b"".join(text.encode() + bytes([self.separator]) for text in texts)
        return np.frombuffer(joined, dtype=np.uint8)
