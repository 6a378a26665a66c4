"""What the places share: keys from a table, the footer, help, the list of everything one can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from rich.cells import cell_len
from textual.screen import Screen

from workbench.tui import keymap, look
from workbench.tui.rows import Row, columns, fit

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.tui.app import AvaTui
    from workbench.tui.keymap import Key

Result = TypeVar("Result")

_ROOMY = 90  # columns
_KEPT = 2  # words at the end of the footer that never give way


def _cells(row: Row) -> int:
    return sum(cell_len(text) for text, _ in row)


class Place(Screen[Result]):
    """A screen with a table of keys, which a subclass names."""

    TABLE: ClassVar[tuple[Key, ...]] = ()
    OWN_KEYS: ClassVar[str] = "list"
    """What the table is called in a person's file of keys."""

    @property
    def place(self) -> str:
        """Which of the five places this belongs to."""
        return "launch"

    @property
    def ava(self) -> AvaTui:
        """The application, as ours."""
        return cast("AvaTui", self.app)

    @property
    def facts(self) -> frozenset[str]:
        """What the keys depend on; see `keymap.Key.when`."""
        return frozenset()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """An action is there when one of its keys is."""
        del parameters
        lines = [key for key in self.TABLE if key.action.partition("(")[0] == action]
        return not lines or any(key.when <= self.facts for key in lines)

    def when_drawn(self, act: Callable[..., object], *args: Any, **options: Any) -> None:
        """Call something after the next refresh, unless the screen has been left by then."""

        def unless_left() -> None:
            if self.is_running and self.is_attached and self.children:
                act(*args, **options)

        self.call_after_refresh(unless_left)

    def places_row(self, width: int, right: Row | None = None) -> Row:
        """The five places with their keys, the one that is open marked; the same everywhere."""
        row: Row = []
        roomy = width >= _ROOMY
        for key in self.TABLE:
            if not key.action.startswith("goto("):
                continue
            name = key.action[6:-2]
            here = "!" if name == self.place else ""
            action = f"@{key.action}"
            label = name.capitalize()
            row += [
                (f" {keymap.shown(key.keys[0])} ", f"key{here}{action}"),
                (f"{label} ", f"{'title' if here else 'dim'}{here}{action}"),
                (" " if roomy else "", ""),
            ]
        return columns(row, right or [], width)

    def footer_row(self, width: int) -> Row:
        """The keys that can be pressed now, as far as there is room.

        The last two, which lead on and out, are always among them, and so are help and the list of
        everything, which a mouse has no other way to.
        """
        gap = "   " if width >= 100 else "  "
        words: list[Row] = []
        for key in keymap.footer(self.facts, self.TABLE):
            if key.action != "help":
                name, label = keymap.shown(key.keys[0]), f" {key.label}{gap}"
                words.append([(name, f"key@{key.action}"), (label, f"dim@{key.action}")])
        end: Row = [(":", "key@palette"), (f" more{gap}", "dim@palette")]
        end += [("?", "key@help"), (" help ", "dim@help")]
        room = max(width - _cells(end), 0)
        while len(words) > _KEPT and sum(map(_cells, words)) > room:
            del words[-_KEPT - 1]
        return [*fit((part for word in words for part in word), room), *end]

    def action_goto(self, place: str) -> None:
        """To another of the five places."""
        self.ava.places.goto(place)

    def action_jump(self) -> None:
        """A letter at everything that can be pressed; the letter presses it."""
        from workbench.tui.screens.jump import jump

        jump(self)

    def action_change_keys(self) -> None:
        """Give something that can be done here another key."""
        from workbench.tui.screens.change_keys import change_keys

        change_keys(self)

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
