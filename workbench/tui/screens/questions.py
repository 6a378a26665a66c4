"""What ava-tui asks and says in dialogs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.tui import acts, keymap
from workbench.tui.pages.help import help_page, table_page
from workbench.tui.pages.message import message_rows
from workbench.tui.rows import Row, clip, wrap
from workbench.tui.screens.dialog import Answer, Dialog

if TYPE_CHECKING:
    from pathlib import Path

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


def note(name: str) -> Dialog:
    """The words of a note; None to leave it."""
    rows: list[Row] = [[(name, "title")], [], [("Note", "")]]
    answers = [Answer(("enter",), "Keep", ""), Answer(("escape",), "Back", None)]
    return Dialog("Note", lambda _w, _h: rows, answers, field="what I have seen")


def twins(kind: str, name: str, runs_dir: Path) -> Dialog:
    """What can be done here, and the commands that do the same."""

    def page(width: int, height: int) -> list[Row]:
        del height
        rows: list[Row] = []
        for words, command in acts.twins(kind, name, runs_dir):
            rows.append([(words, "dim")])
            rows += wrap(command, width, "value", indent="    ")
        return rows

    return Dialog("The same from a shell", page, [_CLOSE])


def reset() -> Dialog:
    """Whether a cell is to be as the lesson has it; None to keep it."""
    rows: list[Row] = [[("What you have typed in this cell is gone then.", "")]]
    answers = [Answer(("enter", "x"), "Reset the cell", "reset"), Answer(("escape",), "Keep", None)]
    return Dialog("Reset", lambda _w, _h: rows, answers)


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
