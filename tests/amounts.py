"""How much the slow tests do: everything with AVA_LONG=1, else what CI has the time for."""

from __future__ import annotations

import os

LONG = bool(os.environ.get("AVA_LONG"))
_SHARE = 60


def seeds(count: int, first: int = 1000) -> range:
    """``count`` seeds of random configs, or a sixtieth of them where nobody has time for all."""
    return range(first, first + (count if LONG else max(count // _SHARE, 1)))


def times(count: int) -> int:
    """``count`` repetitions of something that takes seconds, or a fifth of them."""
    return count if LONG else max(count // 5, 1)
