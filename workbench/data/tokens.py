"""Text to numbers and back: one byte of UTF-8 is one token.

Byte 0 never occurs in text (files with it are refused), so it separates documents.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray


class Tokenizer(Protocol):
    """Turns text into numbers and back."""

    name: str
    vocab_size: int
    separator: int
    """The token after each document."""

    def encode(self, text: str) -> list[int]:
        """The tokens of a text, without any that the text does not hold."""

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of tokens."""


class ByteTokenizer:
    """256 tokens, and no text that it cannot write."""

    name = "bytes"
    vocab_size = 256
    separator = 0

    def encode(self, text: str) -> list[int]:
        """The bytes of the text."""
        return list(text.encode("utf-8", "replace"))

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of the bytes; bytes that are no UTF-8 become replacement characters."""
        return bytes(tokens).decode("utf-8", "replace")

    def stream(self, texts: Iterable[str]) -> NDArray[np.uint8]:
        """All texts in one row of tokens, a separator after each."""
        import numpy as np

        joined = b"".join(text.encode() + bytes([self.separator]) for text in texts)
        return np.frombuffer(joined, dtype=np.uint8)
