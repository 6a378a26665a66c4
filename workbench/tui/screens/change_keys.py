"""Other keys for what can be done: choose it, press the new key; kept in the person's own file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.binding import BindingsMap
from textual.containers import Vertical
from textual.screen import ModalScreen

from workbench.errors import WorkbenchError
from workbench.tui import keymap, own_keys
from workbench.tui.faults import as_error
from workbench.tui.rows import Row, wrap
from workbench.tui.screens.picker import Item, Picker
from workbench.tui.widgets.canvas import Canvas

if TYPE_CHECKING:
    from typing import Any

    from textual import events
    from textual.app import ComposeResult

    from workbench.tui.screens.place import Place


def change_keys(screen: Place[Any]) -> None:
    """Pick what is to have another key, then press it."""
    lines = own_keys.named(screen.TABLE)
    items = [
        Item(name, key.help, " ".join(map(keymap.shown, key.keys))) for name, key in lines.items()
    ]

    def picked(name: str | None) -> None:
        if name is not None:
            capture = Capture(screen.OWN_KEYS, name, lines[name].help)
            screen.app.push_screen(capture, lambda key: _give(screen, name, key))

    screen.app.push_screen(Picker("Another key for", items, wide=True), picked)


def _give(screen: Place[Any], name: str, key: str | None) -> None:
    if key is None:
        return
    from workbench.tui.screens import questions

    try:
        path = own_keys.give(screen.OWN_KEYS, name, key)
    except Exception as error:  # noqa: BLE001
        screen.app.push_screen(questions.trouble(as_error(error)))
        return
    table = getattr(keymap, own_keys.PLACES[screen.OWN_KEYS])
    type(screen).TABLE = table
    type(screen).BINDINGS = [*keymap.bindings(table)]
    type(screen)._merged_bindings = BindingsMap(keymap.bindings(table))  # noqa: SLF001 - of the next
    screen._bindings = BindingsMap(keymap.bindings(table))  # noqa: SLF001 - no public way (8.2.8)
    for canvas in screen.query(Canvas):
        canvas.redraw()
    screen.app.notify(f"{keymap.shown(key)}: {name}   kept in {path}")


class Capture(ModalScreen[str | None]):
    """Waits for a key; says at once when it is taken.

    Args:
        place: Which table, by its name in the file of keys.
        action: The line of the table.
        words: What it does.
    """

    def __init__(self, place: str, action: str, words: str) -> None:
        super().__init__()
        self._place, self._action, self._words = place, action, words
        self._refused: WorkbenchError | None = None

    def compose(self) -> ComposeResult:
        """A box that asks for the key."""
        with Vertical(id="box") as box:
            box.border_title = "Press the new key"
            box.border_subtitle = "[@click=screen.back]esc leaves[/]"
            yield Canvas(self._page, id="words")

    def _page(self, width: int, height: int) -> list[Row]:
        del height
        rows: list[Row] = [[(self._words, "title")], []]
        if self._refused is None:
            return [*rows, [("waiting for a key …", "dim")]]
        rows += wrap(self._refused.what, width, "error")
        return [*rows, [("press another one", "dim")]]

    def on_key(self, event: events.Key) -> None:
        """Take the key when nothing else has it."""
        event.stop()
        if event.key == "escape":
            self.dismiss(None)
            return
        try:
            own_keys.check(self._place, self._action, event.key)
        except WorkbenchError as error:
            self._refused = error
            self.query_one("#words", Canvas).redraw()
            return
        self.dismiss(event.key)

    def action_back(self) -> None:
        """Leave everything as it is."""
        self.dismiss(None)
