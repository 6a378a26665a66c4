"""Widths of number formats, in bytes, and one that is equal to no other."""

from __future__ import annotations


class _Other(int):
    """A width that counts as any, and is not equal to one: both bf16 and fp16 are 2 bytes wide."""

    def __eq__(self, other: object) -> bool:
        return self is other

    def __ne__(self, other: object) -> bool:
        return self is not other

    __hash__ = object.__hash__


OTHER_HALF = _Other(2)
"""Bytes of the 16-bit format that is not the compute dtype: what has it is cast before its use."""
