"""What the places share: keys from a table, the footer, help, the list of everything one can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypeVar

from textual.screen import Screen

from workbench.tui import keymap, look
from workbench.tui.rows import Row, fit

if TYPE_CHECKING:
    from workbench.tui.keymap import Key

Result = TypeVar("Result")


class Place(Screen[Result]):
    """A screen with a table of keys, which a subclass names."""

    TABLE: ClassVar[tuple[Key, ...]] = ()

    @property
    def facts(self) -> frozenset[str]:
        """What the keys depend on; see `keymap.Key.when`."""
        return frozenset()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """An action is there when one of its keys is."""
        del parameters
        lines = [key for key in self.TABLE if key.action.partition("(")[0] == action]
        return not lines or any(key.when <= self.facts for key in lines)

    def footer_row(self, width: int) -> Row:
        """The keys that can be pressed now, as far as there is room; help is always among them."""
        gap = "   " if width >= 100 else "  "
        row: Row = []
        for key in keymap.footer(self.facts, self.TABLE):
            if key.action != "help":
                row.append((keymap.shown(key.keys[0]), f"key@{key.action}"))
                row.append((f" {key.label}{gap}", f"dim@{key.action}"))
        return [*fit(row, max(width - 7, 0)), ("?", "key@help"), (" help ", "dim@help")]

    def action_theme(self) -> None:
        """The next theme."""
        self.app.theme = look.next_theme(self.app.theme)

    def action_help(self) -> None:
        """Every key."""
        from workbench.tui.screens import questions

        self.app.push_screen(questions.keys(self.TABLE))

    def action_palette(self) -> None:
        """Everything that can be done here, to be found by its words."""
        from workbench.tui.screens.picker import Item, Picker

        def run(action: str | None) -> None:
            if action is not None:
                self.call_later(self.run_action, action)

        items = [
            Item(key.action, key.help, " ".join(keymap.shown(name) for name in key.keys))
            for key in self._possible()
        ]
        self.app.push_screen(Picker("What to do", items, wide=True), run)

    def _possible(self) -> list[Key]:
        hidden = ("palette", "help")
        return [
            key
            for key in self.TABLE
            if key.when <= self.facts and key.action not in hidden and "#" not in key.action
        ]
