"""The form: a list of keys of any length, of which only the rows on the screen are ever made."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from workbench.tui import look
from workbench.tui.form import FormLine, key_row, section_row
from workbench.tui.widgets.canvas import strip_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual import events

    from workbench.config.keys import Key
    from workbench.tui.form import Shown


class Form(ScrollView, inherit_bindings=False):
    """Sections and keys; one key is chosen.

    Args:
        key_of: The key at a path.
        show: What a key's row shows.
    """

    DEFAULT_CSS = """
    Form { overflow-x: hidden; overflow-y: auto; scrollbar-size-vertical: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "leap(-1)", show=False),
        Binding("pagedown", "leap(1)", show=False),
        Binding("home", "edge(0)", show=False),
        Binding("end", "edge(-1)", show=False),
        Binding("left_curly_bracket", "section(-1)", show=False),
        Binding("right_curly_bracket", "section(1)", show=False),
    ]

    class Chosen(Message):
        """Another key is chosen now."""

    class Wanted(Message):
        """The chosen key was clicked: it is to be edited."""

    def __init__(
        self,
        key_of: Callable[[str], Key],
        show: Callable[[str], Shown],
        *,
        id: str | None = None,  # noqa: A002
    ) -> None:
        super().__init__(id=id)
        self._key_of, self._show = key_of, show
        self._lines: list[FormLine] = []
        self._row = 0
        self._strips: dict[int, Strip] = {}

    def set_lines(self, lines: list[FormLine]) -> None:
        """Show these lines; the chosen key stays chosen where it is among them."""
        before = self.chosen
        self._lines = lines
        rows = {line.path: row for row, line in enumerate(lines) if line.is_key}
        self._row = rows.get(before, min(rows.values(), default=0))
        self.virtual_size = Size(self.size.width, len(lines))
        self.redraw()
        self.reveal()
        if self.chosen != before:
            self.post_message(self.Chosen())

    @property
    def chosen(self) -> str:
        """Path of the chosen key; empty where there is none."""
        if self._row < len(self._lines) and self._lines[self._row].is_key:
            return self._lines[self._row].path
        return ""

    @property
    def count(self) -> int:
        """Number of keys."""
        return sum(line.is_key for line in self._lines)

    def choose(self, path: str) -> bool:
        """Choose a key, if it is there."""
        for row, line in enumerate(self._lines):
            if line == (path, True):
                self._move_to(row)
                return True
        return False

    def redraw(self) -> None:
        """Make the rows on the screen again."""
        self._strips.clear()
        self.refresh()

    def reveal(self) -> None:
        """Scroll as little as it takes to see the chosen key, with its heading if it is first."""
        height = self.size.height
        if not height:
            return
        above = self._row - 1 if self._row and not self._lines[self._row - 1].is_key else self._row
        top = int(self.scroll_y)
        wanted = min(max(top, self._row - height + 1), above)
        if wanted != top:
            self.scroll_to(y=wanted, animate=False, force=True, immediate=True)

    def _move_to(self, row: int, by: int = 1) -> None:
        """Choose the key at a row, or the next one from there in a direction."""
        row = min(max(row, 0), len(self._lines) - 1)
        while 0 <= row < len(self._lines) and not self._lines[row].is_key:
            row += by
        if not 0 <= row < len(self._lines) or row == self._row:
            return
        for changed in (self._row, row):
            self._strips.pop(changed, None)
        self._row = row
        self.refresh()
        self.reveal()
        self.post_message(self.Chosen())

    def action_move(self, by: int) -> None:
        """The next or the previous key."""
        self._move_to(self._row + by, by)

    def action_leap(self, pages: int) -> None:
        """A page further."""
        self._move_to(self._row + pages * max(self.size.height - 2, 1), pages)

    def action_edge(self, end: int) -> None:
        """The first or the last key."""
        self._move_to(len(self._lines) - 1 if end else 0, -1 if end else 1)

    def action_section(self, by: int) -> None:
        """The first key of the next section, or of the one before."""
        heads = [row for row, line in enumerate(self._lines) if not line.is_key]
        if by > 0:
            target = next((row for row in heads if row > self._row), None)
        else:
            target = next((row for row in reversed(heads) if row < self._row - 1), None)
        if target is not None:
            self._move_to(target + 1)

    def on_click(self, event: events.Click) -> None:
        """Choose what was clicked; a click on what is chosen edits it."""
        row = event.y + int(self.scroll_y)
        if row < len(self._lines) and self._lines[row].is_key:
            if row == self._row:
                self.post_message(self.Wanted())
            self._move_to(row)

    def on_mount(self) -> None:
        """Draw again in the new colours when the theme changes."""
        super().on_mount()  # type: ignore[no-untyped-call]
        self.app.theme_changed_signal.subscribe(self, lambda _: self.redraw())

    def on_resize(self, event: events.Resize) -> None:
        """Make the rows for the new width."""
        del event
        self.virtual_size = Size(self.size.width, len(self._lines))
        self.redraw()
        self.reveal()

    def on_focus(self) -> None:
        """The chosen row stands out more while it has the keys."""
        self.redraw()

    def on_blur(self) -> None:
        """And less otherwise."""
        self.redraw()

    def render_line(self, y: int) -> Strip:
        """One row."""
        row = y + int(self.scroll_y)
        width = max(self.size.width - self.scrollbar_gutter.width, 0)
        if row >= len(self._lines) or not width:
            return Strip.blank(width).apply_style(self.rich_style)
        if row not in self._strips:
            self._strips[row] = self._strip(row, width)
        return self._strips[row].apply_style(self.rich_style)

    def _strip(self, row: int, width: int) -> Strip:
        styles = look.plain_styles() if self.app.no_color else look.styles(self.app.theme)
        line = self._lines[row]
        if not line.is_key:
            return strip_of(section_row(line.path, width), styles)
        chosen = ("!" if self.has_focus else "~") if row == self._row else ""
        cells = key_row(self._key_of(line.path), self._show(line.path), width, chosen=chosen)
        return strip_of(cells, styles)
