"""Rules on cells: tags, code, the first cell, and checks."""

from __future__ import annotations

import difflib
import inspect
from typing import TYPE_CHECKING

from workbench.errors import WorkbenchError
from workbench.lessons.calls import check_calls, parsed
from workbench.lessons.lesson_file import CONFIG, CONFIG_MAGIC, EDIT, TAGS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.lessons.checking import Check
    from workbench.lessons.lesson_file import Cell
    from workbench.lessons.linting import Subject
    from workbench.lessons.problems import Problem

_KEYS = ("id", "title", "expect")


def problems(subject: Subject) -> Iterator[Problem]:
    """Problems of these rules."""
    for cell in subject.lesson.cells:
        yield from _tags(subject, cell)
        yield from _code(subject, cell)
    yield from _setup(subject)
    yield from _checks(subject)


def _tags(subject: Subject, cell: Cell) -> Iterator[Problem]:
    for tag in cell.tags:
        if tag.startswith("ava-") and tag not in TAGS:
            close = difflib.get_close_matches(tag, TAGS, n=1)
            fix = close[0] if close else f"one of {', '.join(TAGS)}"
            yield subject.problem(cell.line, "tag", f"there is no tag {tag!r}", fix)
    ours = [tag for tag in cell.tags if tag in TAGS]
    if len(ours) > 1 and set(ours) != {EDIT, CONFIG}:  # a config is edited anyway
        message = f"a cell is one thing, not {' and '.join(ours)}"
        yield subject.problem(cell.line, "tag", message, f":tags: [{ours[0]}]")
    ava = cell.options.get("ava")
    for key in ava if isinstance(ava, dict) else ():
        if key not in _KEYS:
            fix = f"the keys are {', '.join(_KEYS)}"
            yield subject.problem(cell.line, "tag", f"there is no key ava.{key}", fix)
    if isinstance(ava, dict) and ava.get("expect", "error") != "error":
        message = f"ava.expect can only be error, not {ava['expect']!r}"
        yield subject.problem(cell.line, "tag", message, "expect: error, or leave it out")


def _code(subject: Subject, cell: Cell) -> Iterator[Problem]:
    if not cell.source.strip():
        yield subject.problem(cell.line, "code", f"the cell {cell.id} is empty", "delete it")
    elif cell.is_config and cell.config_name is None:
        message = f"a config cell begins with {CONFIG_MAGIC} and the name of its file"
        yield subject.problem(cell.source_line, "code", message, f"{CONFIG_MAGIC} {cell.id}.yaml")
    elif not cell.source.startswith("%%") and parsed(_plain(cell.source)) is None:
        message = f"the code of the cell {cell.id} is not valid Python"
        yield subject.problem(cell.source_line, "code", message, "run it once")


def _plain(source: str) -> str:
    """Code without the lines that only IPython understands."""
    lines = source.split("\n")
    return "\n".join("pass" if line.startswith(("%", "!")) else line for line in lines)


def _setup(subject: Subject) -> Iterator[Problem]:
    lesson = subject.lesson
    setups = [cell for cell in lesson.cells if cell.is_setup]
    expected = f'learn = lesson("{lesson.id}")'
    if not lesson.cells:
        return
    if not setups or lesson.cells[0] is not setups[0]:
        message = "the first cell has to open the lesson, with the tag ava-setup"
        yield subject.problem(lesson.cells[0].line, "setup", message, expected)
    for cell in setups[1:]:
        message = f"the lesson is opened a second time in the cell {cell.id}"
        yield subject.problem(cell.line, "setup", message, "delete it")
    own = (lesson.id, lesson.path.name, str(lesson.path))
    if setups and not any(f'lesson("{name}")' in setups[0].source for name in own):
        message = "the first cell opens another lesson than this one, or none"
        yield subject.problem(setups[0].source_line, "setup", message, expected)


def _checks(subject: Subject) -> Iterator[Problem]:
    from workbench.lessons.checking import checks_of, module_of

    lesson = subject.lesson
    known: dict[str, Check] = {}
    try:
        known = checks_of(lesson.id, module_of(lesson))
    except WorkbenchError as error:
        if lesson.checks:
            line = next(cell.line for cell in lesson.cells if cell.is_check)
            message = f"{error.what}, but check cells" + (f" ({error.why})" if error.why else "")
            where = error.where or f"workbench/lessons/checks/{lesson.id.replace('-', '_')}.py"
            yield subject.problem(line, "check", message, f"write them in {where}")
    seen: dict[str, Cell] = {}
    yield from _calls(subject, known, seen)
    for name in known:
        if name not in seen:
            message = f"no cell calls the check {name!r}"
            yield subject.problem(1, "check", message, f'a cell with learn.check("{name}")')


def _calls(subject: Subject, known: dict[str, Check], seen: dict[str, Cell]) -> Iterator[Problem]:
    """Problems of the calls of checks; adds them to `seen`."""
    for cell in subject.lesson.cells:
        calls = check_calls(cell.source)
        if not cell.is_check:
            if calls:
                message = f"a check in the cell {cell.id} counts only with the tag ava-check"
                yield subject.problem(cell.source_line, "check", message, ":tags: [ava-check]")
            continue
        if len(calls) != 1:
            message = f"a check cell calls one check by its name, not {len(calls)}"
            yield subject.problem(cell.source_line, "check", message, f'learn.check("{cell.id}")')
            continue
        name = calls[0].check
        if name in seen:
            message = f"the check {name!r} is called twice, here and in line {seen[name].line}"
            yield subject.problem(cell.source_line, "check", message, "delete one of the two")
        seen[name] = cell
        if known:
            yield from _call(subject, cell, name, known)


def _call(subject: Subject, cell: Cell, name: str, known: dict[str, Check]) -> Iterator[Problem]:
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        fix = f'learn.check("{close[0]}")' if close else f"one of: {', '.join(known)}"
        yield subject.problem(cell.source_line, "check", f"there is no check {name!r}", fix)
        return
    call = cell.call
    assert call is not None
    takes = list(inspect.signature(known[name].judge).parameters)[1:]
    for argument in (*call.given, *call.names, *call.unknown):
        if argument not in takes:
            message = f"the check {name!r} takes no {argument!r}"
            fix = f"it takes {', '.join(takes)}" if takes else "it takes nothing but its name"
            yield subject.problem(cell.source_line, "check", message, fix)
