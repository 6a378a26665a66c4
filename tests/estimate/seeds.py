"""How many random configs the slow tests compare: all of them with AVA_LONG=1, else some."""

from __future__ import annotations

import os

_SHARE = 20


def seeds(count: int, first: int = 1000) -> range:
    """``count`` seeds, or a twentieth of them where nobody has time for all."""
    return range(first, first + (count if os.environ.get("AVA_LONG") else max(count // _SHARE, 1)))
