"""The form: a list of keys of any length, of which only the rows on the screen are ever made."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from workbench.tui import look
from workbench.tui.form import FormLine, key_row, section_row
from workbench.tui.widgets.canvas import labelled, strip_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.style import Style
    from textual import events

    from workbench.config.keys import Key
    from workbench.tui.form import Shown
    from workbench.tui.rows import Row


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
        self._drawn: dict[int, tuple[Row, Strip]] = {}
        self._base: Style | None = None
        self._labels: dict[int, list[tuple[int, str]]] = {}

    def actions(self) -> Iterator[tuple[int, int, str]]:
        """The keys that are on the screen, for jump mode."""
        top = int(self.scroll_y)
        for row, line in enumerate(self._lines[top : top + self.size.height], top):
            if line.is_key:
                yield row, 0, f"choose_key({line.path!r})"

    def label(self, labels: dict[tuple[int, int], str]) -> None:
        """Lay labels over the rows; none to take them away."""
        self._labels = {row: [(column, text)] for (row, column), text in labels.items()}
        self.refresh()

    def set_lines(self, lines: list[FormLine]) -> None:
        """Show these lines; the chosen key stays chosen where it is among them."""
        before = self.chosen
        if lines != self._lines:
            self._drawn.clear()
            self._lines = lines
            self.virtual_size = Size(self.size.width, len(lines))
            self.refresh()
        rows = {line.path: row for row, line in enumerate(lines) if line.is_key}
        self._row = rows.get(before, min(rows.values(), default=0))
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

    def redraw(self, *, everything: bool = False) -> None:
        """Make the rows on the screen again; those that have not changed cost no output."""
        if everything:
            self._drawn.clear()
            self.refresh()
            return
        top = int(self.scroll_y)
        before = self._drawn
        self._drawn = {
            row: each for row, each in before.items() if 0 <= row - top < self.size.height
        }
        for row, (cells, _) in list(self._drawn.items()):
            if self._cells(row) != cells:
                del self._drawn[row]
                self.refresh(Region(0, row - top, self.size.width, 1))

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
        self._row = row
        self.redraw()
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
        self.app.theme_changed_signal.subscribe(self, lambda _: self.redraw(everything=True))

    def notify_style_update(self) -> None:
        """The background may be another one now."""
        super().notify_style_update()
        self._base = None

    def on_resize(self, event: events.Resize) -> None:
        """Make the rows for the new width."""
        del event
        self.virtual_size = Size(self.size.width, len(self._lines))
        self.redraw(everything=True)
        self.reveal()

    def on_focus(self) -> None:
        """The chosen row stands out more while it has the keys."""
        self.redraw()

    def on_blur(self) -> None:
        """And less otherwise."""
        self.redraw()

    def render_line(self, y: int) -> Strip:
        """One row."""
        if self._base is None:
            self._base = self.rich_style
        row = y + int(self.scroll_y)
        width = self._width
        if row >= len(self._lines) or not width:
            return Strip.blank(width, self._base)
        if row not in self._drawn:
            styles = look.plain_styles() if self.app.no_color else look.styles(self.app.theme)
            cells = self._cells(row)
            self._drawn[row] = cells, strip_of(cells, styles).apply_style(self._base)
        strip = self._drawn[row][1]
        if row in self._labels:
            styles = look.plain_styles() if self.app.no_color else look.styles(self.app.theme)
            strip = labelled(strip, self._labels[row], width, styles["button"])
        return strip

    @property
    def _width(self) -> int:
        return max(self.size.width - self.scrollbar_gutter.width, 0)

    def _cells(self, row: int) -> Row:
        line = self._lines[row]
        if not line.is_key:
            return section_row(line.path, self._width)
        chosen = ("!" if self.has_focus else "~") if row == self._row else ""
        return key_row(self._key_of(line.path), self._show(line.path), self._width, chosen=chosen)
