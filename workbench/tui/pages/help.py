"""The help page: the table of keys, and what the signs mean."""

from __future__ import annotations

from workbench.tui import keymap, look
from workbench.tui.rows import Row, heading

_STATES = (
    ("running", "training now"),
    ("stopping", "finishing the step and saving"),
    ("stalled", "alive, but without progress"),
    ("finished", "all steps are done"),
    ("stopped", "stopped on request and saved; can go on"),
    ("failed", "ended with an error, which is shown"),
    ("vanished", "killed, or the machine went down"),
)


def help_page(width: int, height: int) -> list[Row]:
    """Every key and every sign."""
    del height
    rows: list[Row] = []
    for group, keys in keymap.groups().items():
        rows += [heading(group, width)]
        for key in keys:
            names = " ".join(keymap.shown(name) for name in key.keys)
            rows.append([(f"  {names:<18}", "key"), (key.help, "")])
        rows.append([])
    rows += [heading("Signs", width)]
    for state, text in _STATES:
        sign, role = look.mark(state)
        rows.append([(f"  {sign} ", role), (f"{state:<12}", ""), (text, "dim")])
    rows.append([("  × ", "bad"), ("on the axis ", ""), ("a loss that is nan or infinite", "dim")])
    return rows
