"""Sizes as allocators give them: in multiples."""

from __future__ import annotations


def up(size: int, multiple: int) -> int:
    """The next multiple that is no smaller."""
    return -(-size // multiple) * multiple
