"""The help page: the table of keys, and what the signs mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.tui import keymap, look
from workbench.tui.rows import Row, heading, wrap

if TYPE_CHECKING:
    from workbench.tui.widgets.canvas import Page

_STATES = (
    ("running", "training now"),
    ("stopping", "finishing the step and saving"),
    ("stalled", "alive, but without progress"),
    ("queued", "waiting for a device or a place"),
    ("restarting", "will start again after a failure"),
    ("paused", "stopped to make room, and will go on"),
    ("finished", "all steps are done"),
    ("stopped", "stopped on request and saved; can go on"),
    ("failed", "ended with an error, which is shown"),
    ("vanished", "killed, or the machine went down"),
)


def table_page(table: tuple[keymap.Key, ...]) -> Page:
    """Every key of a table."""

    def page(width: int, height: int) -> list[Row]:
        del height
        rows: list[Row] = []
        for group, keys in keymap.groups(table).items():
            rows += [heading(group, width)]
            for key in keys:
                names = " ".join(keymap.shown(name) for name in key.keys)
                first, *rest = wrap(key.help, width - 20)
                rows.append([(f"  {names:<18}", "key"), *first])
                rows += [[(" " * 20, ""), *row] for row in rest]
            rows.append([])
        return rows

    return page


def help_page(width: int, height: int) -> list[Row]:
    """Every key and every sign."""
    rows = table_page(keymap.KEYS)(width, height)
    rows += [heading("Signs", width)]
    for state, text in _STATES:
        sign, role = look.mark(state)
        rows.append([(f"  {sign} ", role), (f"{state:<12}", ""), (text, "dim")])
    rows.append([("  × ", "bad"), ("on the axis ", ""), ("a loss that is nan or infinite", "dim")])
    return rows
