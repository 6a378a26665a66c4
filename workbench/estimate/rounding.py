"""Sizes as allocators give them: in multiples."""

from __future__ import annotations


def up(size: int, multiple: int) -> int:
    """The next multiple that is no smaller."""
    return -(-size // multiple) * multiple


def power_of_two(size: int) -> int:
    """The next power of two: what a piece of pinned host memory takes.

    PyTorch keeps pinned memory in pieces of such sizes (ATen/core/CachingHostAllocator.h).
    """
    return 1 << (size - 1).bit_length() if size > 0 else 0


def pinned(size: int, *, is_pinned: bool) -> tuple[int, str]:
    """Bytes that so much host memory takes, and what to add to its formula."""
    return (power_of_two(size), ", next power of two") if is_pinned else (size, "")
