"""Rows of styled text: the material that every page is made of.

A row is a list of ``(text, style name)``. A style name may end in ``!`` or ``~``: the text belongs
to what is chosen, in a list that has the keys or has not. And it may carry an action behind an
``@`` (``key@stop``): clicking the text does what the key does.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from rich.cells import cell_len, chop_cells, set_cell_size

from workbench.runs.braille import Row, Segment

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Row", "Segment", "beside", "clip", "columns", "fit", "fold", "heading", "plain", "wrap"]


def plain(text: str) -> str:
    """One line of foreign text made safe to show: tabs as spaces, no control or combining marks."""
    text = text.expandtabs(4)
    return "".join(c for c in text if c == " " or (c.isprintable() and cell_len(c) > 0))


def clip(text: str, width: int) -> str:
    """The text in at most ``width`` cells, with an ellipsis where something is missing."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + "…" if width > 0 else ""


def fit(row: Iterable[Segment], width: int, filler: str = "") -> Row:
    """The row in exactly ``width`` cells, filled up with spaces of the filler's style."""
    result: Row = []
    left = width
    for text, style in row:
        size = cell_len(text)
        if size > left:
            text, size = clip(text, left), left  # noqa: PLW2901
            text = set_cell_size(text, left)  # noqa: PLW2901
        if text:
            result.append((text, style))
        left -= size
        if left <= 0:
            return result
    result.append((" " * left, filler))
    return result


def wrap(text: str, width: int, style: str = "", *, indent: str = "") -> list[Row]:
    """The text broken into rows of at most ``width`` cells."""
    rows: list[Row] = []
    for line in text.splitlines() or [""]:
        pieces = textwrap.wrap(
            plain(line), max(width, 1), subsequent_indent=indent, break_on_hyphens=False
        )
        rows.extend([[(piece, style)] for piece in pieces or [""]])
    return rows


def fold(line: str, width: int) -> list[str]:
    """A line of code cut into pieces of the width, blank pieces left out: indentation stays."""
    pieces = chop_cells(plain(line).rstrip(), max(width, 1))
    return [piece for piece in pieces if not piece.isspace()] or [""]


def heading(text: str, width: int, note: str = "") -> Row:
    """A quiet heading with a rule to the right border."""
    row: Row = [(text, "heading"), (f"  {note}" if note else "", "dim"), (" ", "")]
    used = sum(cell_len(part) for part, _ in row)
    return fit([*row, ("─" * max(width - used, 0), "faint")], width)


def beside(left: list[Row], right: list[Row], width: int, gap: int = 2) -> list[Row]:
    """Two blocks of rows side by side, each half as wide."""
    half = (width - gap) // 2
    rows = max(len(left), len(right))
    left, right = ([*block, *([[]] * (rows - len(block)))] for block in (left, right))
    return [
        [*fit(a, half), (" " * gap, ""), *fit(b, width - gap - half)]
        for a, b in zip(left, right, strict=True)
    ]


def columns(row: Row, right: Row, width: int) -> Row:
    """One row with a part at either border; the right part gives way when there is no room."""
    size = sum(cell_len(text) for text, _ in row) + sum(cell_len(text) for text, _ in right)
    if size + 2 > width:
        return fit(row, width)
    return [*row, (" " * (width - size), ""), *right]
