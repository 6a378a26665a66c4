"""`ava lessons`: the course, how far one is in it, and what its checks say."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, NoReturn

from workbench.cli.output import console, print_json
from workbench.errors import UsageError

if TYPE_CHECKING:
    from argparse import Namespace

    from workbench.lessons.lesson_file import Lesson
    from workbench.lessons.progress import Progress
    from workbench.lessons.workspace import Workspace

HELP = """\
usage: ava lessons [COMMAND] [--workspace DIR] [--json]

  ava lessons [list]          the course: minutes, progress, where it is known to work
  ava lessons read LESSON     a lesson to read here, page by page
  ava lessons open LESSON     a lesson to work through, in ava-tui
  ava lessons check [LESSON]  run its checks on what you have done (all lessons: what you began)
      --hint CHECK            one more hint for a check
  ava lessons progress        how far you are
  ava lessons lint [FILE …]   what is wrong in a lesson file: the course's, or your own

LESSON is an id or a number of the list, or a file of your own.

  --workspace DIR             the folder with your notebooks and runs; by default $AVA_WORKSPACE,
                              else this folder if it is one, else ~/ava-lessons
  --json                      data on stdout, narration on stderr

Notebooks instead of the terminal: ava lab. How to write a lesson: lessons/README.md.
Exit codes: 0 ok · 1 a check fails, a lesson has problems · 2 wrong usage
"""

_WIDE = 100  # columns from which on the list says more
_COMMANDS = ("list", "read", "open", "check", "progress", "lint")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message, fix="ava lessons --help")


def run(_command: str, args: list[str]) -> int:
    """Run one of the subcommands; without one, list."""
    if {"-h", "--help"} & set(args):
        sys.stdout.write(HELP)
        return 0
    parser = _Parser(prog="ava lessons", add_help=False, allow_abbrev=False)
    parser.add_argument("action", nargs="?", default="list")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--workspace")
    parser.add_argument("--hint")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_intermixed_args(args)
    if options.action not in _COMMANDS:
        raise _unknown(options.action)
    if options.hint is not None and options.action != "check":
        raise UsageError("--hint goes with check", fix="ava lessons check LESSON --hint CHECK")
    acts = {
        "list": _list,
        "read": _read,
        "open": _open,
        "check": _check,
        "progress": _progress,
        "lint": _lint,
    }
    assert tuple(acts) == _COMMANDS, "every command has its function"
    return acts[options.action](options)


def _read(options: Namespace) -> int:
    from workbench.cli.lessons_read import read

    return read(_lesson(options), json=options.json)


def _check(options: Namespace) -> int:
    from workbench.cli.lessons_check import check

    return check(options, _lesson(options) if options.names else None)


def _lint(options: Namespace) -> int:
    from workbench.cli.lessons_lint import lint

    return lint(options.names, json=options.json)


def _unknown(name: str) -> UsageError:
    from workbench.errors import LessonError
    from workbench.lessons import find

    try:
        lesson = find(name)
    except LessonError:
        commands = ", ".join(_COMMANDS)
        return UsageError(f"there is no command 'lessons {name}'", fix=f"one of: {commands}")
    fix = f"ava lessons read {lesson.id}\nava lessons open {lesson.id}"
    return UsageError(f"what is to be done with the lesson {lesson.id}?", fix=fix)


def _lesson(options: Namespace) -> Lesson:
    from workbench.lessons import find

    if len(options.names) != 1:
        raise UsageError(
            f"lessons {options.action} takes one lesson", fix=f"ava lessons {options.action} 1"
        )
    return find(options.names[0])


def name_of(lesson: Lesson) -> str:
    """What to type for a lesson: its id, or the path of somebody's own."""
    from workbench.lessons.catalogue import path_of

    return lesson.id if path_of(lesson.id) == lesson.path else str(lesson.path)


def place(options: Namespace) -> Workspace:
    """The workspace that the options name; nothing is made on disk by looking at it."""
    from pathlib import Path

    from workbench.lessons.workspace import Workspace

    named = options.workspace
    return Workspace((Path(named).expanduser() if named else Workspace.usual()).absolute())


def _none(options: Namespace) -> None:
    if options.names:
        raise UsageError(
            f"lessons {options.action} takes no {options.names[0]!r}",
            fix=f"ava lessons {options.action}",
        )


def _list(options: Namespace) -> int:
    from workbench.lessons import course, progress
    from workbench.lessons.overview import words
    from workbench.lessons.validation import validated_on

    _none(options)
    found = progress.of(place(options), course())
    if options.json:
        print_json([_row(each) for each in found])
        return 0
    from rich.table import Table
    from rich.text import Text

    out = console()
    wide = out.width >= _WIDE
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("", justify="right", min_width=2)
    table.add_column("lesson", no_wrap=True, overflow="ellipsis")
    table.add_column("min", justify="right", min_width=3)
    table.add_column("passed", no_wrap=True, min_width=6)
    for title in ("works on", "about") if wide else ():
        table.add_column(title, no_wrap=True)
    for each in found:
        lesson = each.lesson
        more = (", ".join(validated_on(lesson)) or "–", lesson.category) if wide else ()
        table.add_row(
            str(lesson.number),
            Text(lesson.title, style="bold"),
            str(lesson.estimated_minutes),
            Text(words(each), style="green" if each.done else ""),
            *more,
        )
    out.print(table)
    begun = next((each for each in found if each.started and not each.done), None)
    following = begun or next((each for each in found if not each.done), None)
    if following is not None:
        word = "go on" if following.started else "begin"
        out.print(f"\n{word}:  ava lessons open {following.lesson.number}", markup=False)
        out.print("or in JupyterLab:  ava lab", markup=False, style="dim")
    return 0


def _row(each: Progress) -> dict[str, object]:
    """A lesson and the progress in it, JSON-ready."""
    from workbench.lessons.validation import status, validated_on

    lesson = each.lesson
    return {
        "number": lesson.number,
        "id": lesson.id,
        "title": lesson.title,
        "description": lesson.description,
        "category": lesson.category,
        "tags": list(lesson.tags),
        "supportedHardware": list(lesson.supported_hardware),
        "prerequisites": list(lesson.prerequisites),
        "estimatedMinutes": lesson.estimated_minutes,
        "status": status(lesson),
        "validatedOn": list(validated_on(lesson)),
        "path": str(lesson.path),
        "progress": each.to_dict(),
    }


def _open(options: Namespace) -> int:
    """Put `ava-tui` in the place of this process."""
    import os

    lesson = _lesson(options)
    name = name_of(lesson)
    command = ["-m", "workbench.tui", "--lesson", name]
    if options.workspace:
        command += ["--workspace", options.workspace]
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "a lesson opens on a screen, and this is none",
            fix=f"ava lessons read {name}   prints it\nava lab   opens the notebooks",
        )
    os.execv(sys.executable, [sys.executable, *command])  # noqa: S606 - no shell is wanted


def _progress(options: Namespace) -> int:
    from workbench.lessons import course, progress
    from workbench.lessons.overview import Overview

    _none(options)
    found = progress.of(place(options), course())
    passed, total = sum(each.passed for each in found), sum(each.total for each in found)
    if options.json:
        rows = [each.to_dict() for each in found]
        print_json({"passed": passed, "total": total, "lessons": rows})
        return 0
    out = console()
    out.print(Overview(tuple(found)).text(), markup=False)
    done = sum(each.done for each in found)
    out.print(
        f"\n{passed} of {total} checks passed, {done} of {len(found)} lessons done"
        f"   ({place(options).path})",
        markup=False,
        style="dim",
    )
    stale = [each.lesson.id for each in found if "stale" in each.checks.values()]
    if stale:
        out.print(f"run again: ava lessons check {stale[0]}", markup=False)
    return 0
