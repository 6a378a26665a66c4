"""The editor of a cell: Textual's `TextArea`, without its highlighter and with our keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.widgets import TextArea

if TYPE_CHECKING:
    from textual import events


class CodeField(TextArea):
    """A few lines of code; as high as they are, so it never scrolls on its own."""

    def __init__(self, text: str, *, id: str) -> None:  # noqa: A002
        super().__init__(
            text, id=id, soft_wrap=False, tab_behavior="indent", compact=True, show_cursor=True
        )
        self.indent_width = 4 if not text.startswith("%%config") else 2

    async def _on_key(self, event: events.Key) -> None:
        """Escape and F9 are the screen's; a new line begins below the one before.

        Textual calls its own method of this name too, unless the default is prevented.
        """
        if event.key in ("escape", "f9"):
            event.prevent_default()  # the screen is asked next
        elif event.key == "enter":
            event.stop()
            event.prevent_default()
            row, _ = self.cursor_location
            line = self.document.get_line(row)
            blank = line[: len(line) - len(line.lstrip())]
            deeper = " " * self.indent_width if line.rstrip().endswith(":") else ""
            self.insert("\n" + blank + deeper)
