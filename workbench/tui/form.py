"""The form of a config as rows: which keys are shown, in which order, and how one looks.

Nothing here is a widget. A form of 40 keys and one of 3,000 cost the same, for only the rows that
are on the screen are ever made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len

from workbench.forms import (
    FormLine,
    Shown,
    found,
    lines_of,
    origin_text,
    stepped,
    typed_text,
    unit_text,
    value_text,
    worst_by_path,
)
from workbench.tui.rows import Row, clip, fit

if TYPE_CHECKING:
    from workbench.config.keys import Key

__all__ = [
    "FormLine",
    "Shown",
    "found",
    "key_row",
    "lines_of",
    "section_row",
    "stepped",
    "typed_text",
    "value_text",
    "worst_by_path",
]

_ORIGIN_FROM = 56  # cells; narrower, the value needs the room
_MOST_NAME = 34


def section_row(path: str, width: int) -> Row:
    """The heading of a section."""
    rule = "─" * max(width - cell_len(path) - 2, 0)
    return fit([(f" {path} ", "heading"), (rule, "faint")], width)


def key_row(key: Key, shown: Shown, width: int, *, chosen: str = "") -> Row:
    """A key with its value, and who set it.

    Args:
        key: The key.
        shown: What is to be seen of it.
        width: Cells.
        chosen: Ending of the style names: ``!`` for the chosen row, ``~`` without focus.
    """
    sign, role = _sign(shown)
    name_width = min(_MOST_NAME, max(width // 2 - 3, 12))
    row: Row = [
        (f" {sign} ", role + chosen),
        (f"{clip(key.name, name_width):<{name_width}} ", ("" if shown.origin else "dim") + chosen),
    ]
    source = origin_text(shown) if width >= _ORIGIN_FROM else ""
    room = width - sum(cell_len(text) for text, _ in row) - (len(source) + 2 if source else 0)
    value = clip(value_text(shown.value), max(room, 4))
    row.append((value, ("value" if shown.origin else "dim") + chosen))
    rest = room - cell_len(value)
    unit = f" {unit_text(key.unit, shown.value)}" if key.unit else ""
    if unit and cell_len(unit) <= rest:
        row.append((unit, "dim" + chosen))
        rest -= cell_len(unit)
    if shown.before is not shown.value and shown.before != shown.value:
        was = f"  was {value_text(shown.before)}"
        if cell_len(was) <= rest:
            row.append((was, "warn" + chosen))
            rest -= cell_len(was)
    row.append((" " * (rest + 2), chosen))
    row.append((source, "dim" + chosen))
    return fit(row, width, chosen)


def _sign(shown: Shown) -> tuple[str, str]:
    if shown.worst == "error":
        return "✗", "error"
    if shown.worst == "warning":
        return "▲", "warn"
    return ("●", "brand") if shown.edited else (" ", "")
