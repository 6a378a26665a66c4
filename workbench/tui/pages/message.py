"""An error as rows: what, where, why, and what to do; never a traceback."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.tui.rows import Row, wrap

if TYPE_CHECKING:
    from workbench.errors import WorkbenchError

_ROLES = {
    "error": "error",
    "warning": "warn",
    "hint": "dim",
    "where": "dim",
    "why": "dim",
    "try": "good",
}


def message_rows(error: WorkbenchError, width: int) -> list[Row]:
    """The error's own rendering, coloured and wrapped."""
    rows: list[Row] = []
    for line in error.render().splitlines():
        word, colon, text = line.strip().partition(": ")
        if colon and word in _ROLES:
            first, *rest = wrap(text.strip(), width - 8, "title" if word == "error" else "")
            rows.append([(f"{word:<8}", _ROLES[word]), *first])
        else:
            rest = wrap(line.strip(), width - 8)
        rows += [[(" " * 8, ""), *row] for row in rest]
    return rows
