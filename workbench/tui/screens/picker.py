"""A list to pick from: type to search, arrows to choose, a preview of what is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple

from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from workbench.tui.rows import Row, clip, columns
from workbench.tui.widgets.canvas import Canvas

if TYPE_CHECKING:
    from textual import events
    from textual.app import ComposeResult
    from textual.widgets import Input

    from workbench.tui.widgets.canvas import Page


class Item(NamedTuple):
    """Something that can be picked.

    Attributes:
        value: What the picker returns for it.
        title: Its words.
        note: What stands at the right border.
        role: Style name of the words.
        preview: What is shown below the list while it is chosen; None for nothing.
    """

    value: str
    title: str
    note: str = ""
    role: str = "value"
    preview: Page | None = None


class Picker(ModalScreen[str | None]):
    """Returns the value of the item that was picked; None for none.

    Args:
        title: What is picked.
        items: What there is, best first.
        chosen: Value of the item that is chosen at first.
        wide: Whether to take the whole width, for items that are long.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", show=False, priority=True),
        Binding("down", "move(1)", show=False, priority=True),
        Binding("pageup", "move(-10)", show=False, priority=True),
        Binding("pagedown", "move(10)", show=False, priority=True),
        Binding("escape,ctrl+c,ctrl+q", "cancel", show=False, priority=True),
    ]

    def __init__(
        self, title: str, items: list[Item], *, chosen: str | None = None, wide: bool = False
    ) -> None:
        super().__init__()
        self._title, self._all, self._wide = title, items, wide
        self._items = items
        self._row = next((row for row, item in enumerate(items) if item.value == chosen), 0)
        self._top = 0

    def compose(self) -> ComposeResult:
        """A box with a field, the list, and the preview."""
        from textual.widgets import Input

        with Vertical(id="box", classes="-wide" if self._wide else "") as box:
            box.border_title = self._title
            box.border_subtitle = "enter picks, [@click=screen.cancel]esc leaves[/]"
            yield Input(placeholder="type to search", id="field", compact=True)
            yield Canvas(self._list_page, id="list")
            yield Canvas(id="preview")

    def on_mount(self) -> None:
        """The keys go to the field."""
        self.query_one("#field").focus()
        self.query_one("#preview").display = any(item.preview for item in self._all)
        self._size_list()
        self._show()

    def on_resize(self, event: events.Resize) -> None:
        """Leave room for the frame and the preview."""
        del event
        self._size_list()

    def _size_list(self) -> None:
        room = self.app.size.height - 6
        has_preview = any(item.preview for item in self._all)
        rows = min(len(self._all), max(room // 2 if has_preview else room, 3))
        self.query_one("#list").styles.height = rows
        self.query_one("#preview").styles.max_height = max(room - rows - 1, 3)

    def _list_page(self, width: int, height: int) -> list[Row]:
        self._top = min(max(self._top, self._row - height + 1), self._row)
        rows: list[Row] = []
        for place, item in enumerate(self._items[self._top : self._top + height], self._top):
            mark = "!" if place == self._row else ""
            note = clip(item.note, width // 2)
            words = clip(item.title, max(width - len(note) - 3, 8))
            action = f"@pick({place})"
            left: Row = [(f" {words}", item.role + mark + action)]
            right: Row = [(f"{note} ", "dim" + mark + action)]
            rows.append(columns(left, right, width))
        return rows or [[(" nothing has these words", "dim")]]

    def on_input_changed(self, event: Input.Changed) -> None:
        """Keep what has all of the words."""
        words = event.value.lower().split()
        self._items = [
            item
            for item in self._all
            if all(word in f"{item.title} {item.note} {item.value}".lower() for word in words)
        ]
        self._row = self._top = 0 if words else self._row
        self._row = min(self._row, max(len(self._items) - 1, 0))
        self._show()

    def _show(self) -> None:
        self.query_one("#list", Canvas).redraw(everything=True)
        item = self._items[self._row] if self._items else None
        if item is not None and item.preview is not None:
            self.query_one("#preview", Canvas).show(item.preview, top=True)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter picks."""
        event.stop()
        self.action_pick(self._row)

    def action_move(self, by: int) -> None:
        """Choose another item."""
        self._row = min(max(self._row + by, 0), max(len(self._items) - 1, 0))
        self._show()

    def action_pick(self, row: int) -> None:
        """Close with the item in a row."""
        if row < len(self._items):
            self.dismiss(self._items[row].value)

    def action_cancel(self) -> None:
        """Close without."""
        self.dismiss(None)
