"""The tour: five lines, shown once, gone with any key."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from textual.containers import Vertical
from textual.screen import ModalScreen

from workbench.tui.rows import Row, wrap
from workbench.tui.widgets.canvas import Canvas

if TYPE_CHECKING:
    from textual import events
    from textual.app import ComposeResult

_LINES = (
    ("F4", "A recipe is one key from training: enter launches it, here, in minutes."),
    ("F3", "Build changes it, and says at every key what it will take."),
    ("F5", "Runs belong to themselves: leave, come back, they go on."),
    ("F2", "The lessons teach the rest, with runs on this machine."),
    ("?", "Every key, anywhere; ctrl-o puts a letter at everything."),
)


class Tour(ModalScreen[None]):
    """What is where."""

    def compose(self) -> ComposeResult:
        """A box with the lines."""
        with Vertical(id="box") as box:
            box.border_title = "Welcome"
            box.border_subtitle = "any key goes on"
            yield Canvas(_page, id="words")

    def on_mount(self) -> None:
        """Remember that it was shown."""
        remember()

    def on_key(self, event: events.Key) -> None:
        """Any key."""
        event.stop()
        self.dismiss(None)

    def on_click(self) -> None:
        """Or a click."""
        self.dismiss(None)


def _page(width: int, height: int) -> list[Row]:
    del height
    rows: list[Row] = []
    for key, text in _LINES:
        first, *rest = wrap(text, width - 6)
        rows += [[(f"{key:<6}", "key"), *first], *([(" " * 6, ""), *row] for row in rest)]
    return rows


def file() -> Path:
    """Where it stands that the tour was shown."""
    home = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(home).expanduser() / "ava" / "toured"


def remember() -> None:
    """Not again; where that cannot be written, the tour comes again, which does no harm."""
    path = file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError:
        return
