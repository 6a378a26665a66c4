"""The list on the left: recipes above, runs below, each with a share of the height."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from workbench import units
from workbench.tui import look
from workbench.tui.rows import Row, clip, columns, fit
from workbench.tui.widgets.canvas import Canvas

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textual import events

    from workbench.plan import Recipe
    from workbench.runs.overview import Entry


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that can be chosen: its name, and below it a note when there is one."""

    kind: str
    name: str
    sign: str
    role: str
    note: str = ""


class Choices(Canvas, inherit_bindings=False):
    """Recipes and runs; one of them is chosen. When both are long, each scrolls in its half."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("pageup", "leap(-1)", show=False),
        Binding("pagedown", "leap(1)", show=False),
        Binding("home", "edge(0)", show=False),
        Binding("end", "edge(-1)", show=False),
    ]

    class Chosen(Message):
        """Another item is chosen now."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(self._list_page, id=id)
        self._recipes: list[Item] = []
        self._runs: list[Item] | None = None
        self._chosen = 0
        self._marked: dict[str, None] = {}
        self._tops = {"recipe": 0, "run": 0}  # how far each half is scrolled
        self._items_of_rows: list[int | None] = []

    @property
    def names(self) -> list[tuple[str, str]]:
        """Kind and name of every item, in order."""
        return [(item.kind, item.name) for item in (*self._recipes, *(self._runs or ()))]

    @property
    def chosen(self) -> tuple[str, str]:
        """Kind and name of the chosen item; empty strings when there is none."""
        names = self.names
        return names[self._chosen] if names else ("", "")

    def set_recipes(self, recipes: list[Recipe]) -> None:
        """Show these recipes."""
        self._recipes = [Item("recipe", recipe.name, "▸", "brand") for recipe in recipes]
        self._refill(("", ""))

    def set_signs(self, signs: dict[str, tuple[str, str]]) -> None:
        """Show whether this machine is enough for the recipes: a sign and its style name each."""
        self._recipes = [
            replace(item, sign=signs[item.name][0], role=signs[item.name][1])
            if item.name in signs
            else item
            for item in self._recipes
        ]
        self.redraw()

    def set_runs(self, runs: list[Entry]) -> None:
        """Show these runs; what was chosen stays chosen."""
        before = self.chosen
        self._runs = [Item("run", run.name, *look.mark(run.state), _note(run)) for run in runs]
        self._refill(before)

    def _refill(self, before: tuple[str, str]) -> None:
        names = self.names
        self._chosen = names.index(before) if before in names else min(self._chosen, len(names) - 1)
        self._chosen = max(self._chosen, 0)
        self.redraw()
        if self.chosen != before:
            self.post_message(self.Chosen())

    def choose(self, kind: str, name: str) -> bool:
        """Choose an item, if it is there."""
        found = (kind, name) in self.names
        if found:
            self._move_to(self.names.index((kind, name)))
        return found

    @property
    def marked(self) -> list[str]:
        """The runs that are marked and still there, in the order of marking."""
        there = {item.name for item in self._runs or ()}
        return [name for name in self._marked if name in there]

    def mark(self, name: str) -> None:
        """Mark a run, or take its mark away."""
        if name in self._marked:
            del self._marked[name]
        else:
            self._marked[name] = None
        self.redraw()

    def move(self, by: int) -> None:
        """Choose an item so many places further."""
        self._move_to(self._chosen + by)

    def _move_to(self, index: int) -> None:
        index = max(min(index, len(self.names) - 1), 0)
        if index != self._chosen:
            self._chosen = index
            self.redraw()
            self.post_message(self.Chosen())

    def action_leap(self, pages: int) -> None:
        """Choose the item half a list further."""
        self.move(pages * max(self.size.height // 2 - 2, 1))

    def action_edge(self, index: int) -> None:
        """Choose the first or the last item."""
        self._move_to(index % max(len(self.names), 1))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """All of the list's keys are always there."""
        del action, parameters
        return True

    def on_click(self, event: events.Click) -> None:
        """Choose what was clicked."""
        row = event.y - self.gutter.top
        if 0 <= row < len(self._items_of_rows):
            index = self._items_of_rows[row]
            if index is not None:
                self._move_to(index)

    def actions(self) -> Iterator[tuple[int, int, str]]:
        """The items, for jump mode."""
        names = self.names
        seen: set[int] = set()
        for row, index in enumerate(self._items_of_rows):
            if index is not None and index not in seen:
                seen.add(index)
                kind, name = names[index]
                yield row, 0, f"pick({kind!r}, {name!r})"

    def on_mouse_scroll_down(self) -> None:
        """The wheel moves the choice."""
        self.move(1)

    def on_mouse_scroll_up(self) -> None:
        """The wheel moves the choice."""
        self.move(-1)

    def on_focus(self) -> None:
        """The chosen item stands out more while the arrow keys belong to the list."""
        self.redraw()

    def on_blur(self) -> None:
        """And less otherwise."""
        self.redraw()

    def _list_page(self, width: int, height: int) -> list[Row]:
        recipes = self._items(self._recipes, 0, width)
        runs = self._items(self._runs or [], len(self._recipes), width)
        if not self._runs:
            runs.append((None, [(" looking …" if self._runs is None else " none yet", "dim")]))
        room = height - 3  # two headings and an empty row between
        share = min(len(recipes), max(room // 2, room - len(runs)))
        above = self._window("recipe", recipes, share)
        below = self._window("run", runs, room - share)
        rows = [
            (None, _heading("RECIPES", len(self._recipes), width)),
            *above,
            (None, []),
            (None, _heading("RUNS", len(self._runs or ()), width)),
            *below,
        ]
        self._items_of_rows = [index for index, _ in rows]
        return [row for _, row in rows][: max(height, 0)]

    def _window(
        self, half: str, rows: list[tuple[int | None, Row]], height: int
    ) -> list[tuple[int | None, Row]]:
        """The rows that fit, moved as little as the chosen item needs to be seen."""
        wanted = [place for place, (index, _) in enumerate(rows) if index == self._chosen]
        top = self._tops[half]
        if wanted:
            top = min(max(top, wanted[-1] + 1 - height), wanted[0])
        self._tops[half] = top = max(min(top, len(rows) - height), 0)
        return rows[top : top + max(height, 0)]

    def _items(self, items: list[Item], first: int, width: int) -> list[tuple[int | None, Row]]:
        rows: list[tuple[int | None, Row]] = []
        for index, item in enumerate(items, first):
            mark = ("!" if self.has_focus else "~") if index == self._chosen else ""
            is_marked = item.kind == "run" and item.name in self._marked
            name = [
                ("+" if is_marked else " ", "key" + mark),
                (f"{item.sign} ", item.role + mark),
                (clip(item.name, width - 4), "value" + mark),
            ]
            rows.append((index, fit(name, width, mark)))
            if item.note:
                note = [("   ", mark), (clip(item.note, width - 4), "dim" + mark)]
                rows.append((index, fit(note, width, mark)))
        return rows


def _heading(words: str, count: int, width: int) -> Row:
    return columns([(f" {words}", "heading")], [(f"{count} ", "dim")] if count else [], width)


def _note(run: Entry) -> str:
    if not run.alive and run.state != "finished":
        return f"{run.state}  at step {run.step:,}" if run.step else run.state
    share = f"  {run.step / run.max_steps:.0%}" if run.alive and run.max_steps else ""
    loss = f"  loss {units.number(run.loss)}" if run.loss is not None else ""
    return f"{run.state}{share}{loss}"
