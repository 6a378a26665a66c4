"""`ava lessons check`: run the checks of a lesson on what lies in the workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.cli.lessons import name_of, place
from workbench.cli.output import console, print_json
from workbench.errors import UsageError

if TYPE_CHECKING:
    from argparse import Namespace

    from workbench.lessons.lesson_file import Lesson
    from workbench.lessons.outcome import Outcome
    from workbench.lessons.workspace import Workspace

_SIGNS = {
    "pass": ("✓", "passed", "green"),
    "fail": ("✗", "not yet", "red"),
    "unattempted": ("○", "not attempted yet", "dim"),
    "stale": ("↻", "passed before, run it again", "yellow"),
    "error": ("!", "the check itself has failed", "magenta"),
}


def check(options: Namespace, lesson: Lesson | None) -> int:
    """Run checks; 1 where one fails or breaks."""
    from workbench.lessons import course, progress

    space = place(options)
    if options.hint is not None:
        if lesson is None:
            raise UsageError("which lesson?", fix=f"ava lessons check LESSON --hint {options.hint}")
        return _hint(space, lesson, options.hint, json=options.json)
    if lesson is not None:
        chosen = [lesson]
    else:
        chosen = [each.lesson for each in progress.of(space, course()) if each.started]
    if not chosen and not options.json:
        console().print(f"nothing has been checked yet in {space.path}", markup=False)
        console().print("begin:  ava lessons open 1", markup=False)
    found = {each.id: _outcomes(space, each) for each in chosen}
    if options.json:
        print_json({name: [each.to_dict() for each in rows] for name, rows in found.items()})
    else:
        for each in chosen:
            _show(each, found[each.id])
    statuses = {each.status for rows in found.values() for each in rows}
    return 1 if statuses & {"fail", "error"} else 0


def _outcomes(space: Workspace, lesson: Lesson) -> list[Outcome]:
    from workbench.lessons.answers import given
    from workbench.lessons.checking import run_check
    from workbench.lessons.outcome import unattempted

    found = []
    for name, arguments in given(space, lesson).items():
        cell = lesson.check_cell(name)
        title = cell.title if cell is not None else ""
        if arguments.unknown:
            words = " and ".join(arguments.unknown)
            why = f"{words}: known once the cells of the lesson have run, here or in ava lab"
            found.append(unattempted(why).of(name, title=title))
        else:
            found.append(run_check(space, lesson, name, dict(arguments.arguments)))
    return found


def _show(lesson: Lesson, rows: list[Outcome]) -> None:
    from rich.padding import Padding
    from rich.text import Text

    out = console()
    out.print(Text(lesson.title, style="bold"))
    for row in rows:
        sign, words, style = _SIGNS[row.status]
        out.print(Text(f"{sign} {row.title or row.check}: {words}", style=style))
        for line in row.why.splitlines():
            out.print(Padding(Text(line), (0, 0, 0, 2), expand=False))
        if row.status not in ("fail", "unattempted"):
            continue
        for number, hint in enumerate(row.hints[: row.shown], start=1):
            out.print(Padding(Text(f"hint {number}: {hint}"), (0, 0, 0, 2), expand=False))
        if row.shown < len(row.hints):
            command = f"ava lessons check {name_of(lesson)} --hint {row.check}"
            out.print(Padding(Text(f"a hint: {command}", style="dim"), (0, 0, 0, 2), expand=False))
    passed = sum(row.status == "pass" for row in rows)
    out.print(Text(f"{passed} of {len(rows)} passed\n", style="dim"))


def _hint(space: Workspace, lesson: Lesson, name: str, *, json: bool) -> int:
    from workbench.lessons.checking import named
    from workbench.lessons.hints import reveal, revealed

    hints = named(lesson, name).hints
    before = revealed(space, lesson.id, name)
    shown = reveal(space, lesson.id, name, len(hints)) if hints else 0
    if json:
        print_json({"check": name, "hints": list(hints[:shown]), "left": len(hints) - shown})
        return 0
    out = console()
    for number, hint in enumerate(hints[:shown], start=1):
        out.print(f"hint {number} of {len(hints)}: {hint}", markup=False)
    if not hints:
        out.print("this check has no hints; its result says what is missing", markup=False)
    elif before >= len(hints):
        out.print("these are all of them", markup=False, style="dim")
    return 0
