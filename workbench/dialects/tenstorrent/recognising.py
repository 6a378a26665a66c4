"""Whether a text is a file of Tenstorrent's, by its sections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.dialects.parsing import peek
from workbench.dialects.tenstorrent.shapes import guess_of

if TYPE_CHECKING:
    from workbench.dialects.base import Foreign, Guess


def recognise(foreign: Foreign) -> Guess | None:
    """How much a text looks like one of Tenstorrent's."""
    tree = peek(foreign)
    return None if tree is None else guess_of(tree)
