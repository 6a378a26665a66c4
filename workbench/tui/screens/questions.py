"""What ava-tui asks and says in dialogs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.tui import keymap
from workbench.tui.pages.help import help_page, table_page
from workbench.tui.pages.message import message_rows
from workbench.tui.rows import Row, clip
from workbench.tui.screens.dialog import Answer, Dialog

if TYPE_CHECKING:
    from workbench.errors import WorkbenchError
    from workbench.plan import Recipe

_CLOSE = Answer(("escape", "enter", "q", "question_mark"), "Close", None)


def keys(table: tuple[keymap.Key, ...]) -> Dialog:
    """Every key of a table; for the list, the signs too."""
    page = help_page if table is keymap.KEYS else table_page(table)
    return Dialog("Keys", page, [_CLOSE])


def trouble(error: WorkbenchError) -> Dialog:
    """Something did not work."""
    return Dialog("That did not work", lambda width, _: message_rows(error, width), [_CLOSE])


def launch(recipe: Recipe, live: int) -> Dialog:
    """The name of the new run; None to leave it."""
    rows: list[Row] = [[(recipe.title, "title")], [(f"takes {recipe.budget}", "dim")]]
    if live:
        others = "a run is" if live == 1 else f"{live} runs are"
        rows += [[(f"▲ {others} live already; they will share the machine", "warn")]]
    rows += [[], [("Name of the run", "")]]
    answers = [Answer(("enter",), "Launch", ""), Answer(("escape",), "Back", None)]
    field = f"{recipe.name}-DATE-TIME"
    return Dialog(f"Launch {recipe.name}", lambda _w, _h: rows, answers, field=field)


def stop(name: str) -> Dialog:
    """``stop``, ``kill``, or None to let it run."""
    rows: list[Row] = [
        [(name, "title")],
        [("It finishes the step, saves a checkpoint and ends.", "")],
        [("It can go on later from there.", "")],
    ]
    answers = [
        Answer(("enter", "s"), "Stop and save", "stop"),
        Answer(("k",), "Kill, do not save", "kill"),
        Answer(("escape",), "Let it run", None),
    ]
    return Dialog("Stop the run", lambda _w, _h: rows, answers)


def leave(names: list[str]) -> Dialog:
    """``leave``, or None to stay."""
    go = "goes on" if len(names) == 1 else "go on"
    rows: list[Row] = [
        [(clip(", ".join(names), 60), "title")],
        [(f"{go} without ava-tui.", "")],
        [("Come back at any time, from any terminal.", "dim")],
    ]
    answers = [
        Answer(("enter", "q", "ctrl+c", "ctrl+q"), "Leave", "leave"),
        Answer(("escape",), "Stay", None),
    ]
    return Dialog("Leave ava-tui", lambda _w, _h: rows, answers)
