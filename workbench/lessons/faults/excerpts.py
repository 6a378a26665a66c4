"""Which lines of a long output are shown. What is left out leaves a line with ``…``."""

from __future__ import annotations

import re

_GAP = "…"


def excerpt(printed: str, show: tuple[int, int] | str) -> str:
    """The lines of an output that matter, word by word.

    Args:
        printed: All of it.
        show: How many from the beginning and from the end; or a pattern that the shown lines have.
    """
    lines = [line.rstrip() for line in printed.strip("\n").splitlines()]
    if isinstance(show, tuple):
        first, last = show
        if len(lines) <= first + last + 1:
            return "\n".join(lines)
        wanted = set(range(first)) | set(range(len(lines) - last, len(lines)))
    else:
        pattern = re.compile(show)
        wanted = {place for place, line in enumerate(lines) if pattern.search(line)}
    shown: list[str] = []
    for place, line in enumerate(lines):
        if place in wanted:
            shown.append(line)
        elif shown[-1:] != [_GAP]:
            shown.append(_GAP)
    return "\n".join(shown)
