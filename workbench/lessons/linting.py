"""The linter of lessons: everything that can be known to be wrong without running them.

A rule is a small generator of problems; `RULES` names them all. A lesson is linted with the course
around it, because ids and prerequisites are about the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Final

from workbench.errors import LessonError
from workbench.lessons import (
    linting_cells,
    linting_configs,
    linting_course,
    linting_faces,
    linting_links,
    linting_time,
    linting_words,
)
from workbench.lessons.catalogue import course_files
from workbench.lessons.lesson_file import Lesson, Text
from workbench.lessons.markup import Markup, markup
from workbench.lessons.problems import Problem
from workbench.lessons.reading import scan

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

RULES: Final[dict[str, str]] = {
    "unreadable": "the file cannot be read as text",
    "front-matter": "the front matter is YAML with the keys that lessons/README.md lists",
    "jupytext": "the front matter says how jupytext is to keep it",
    "cell": "every cell has options in YAML and an id of its own",
    "tag": "tags and keys of a cell that begin with ava are known",
    "code": "code is Python",
    "setup": "the first cell opens the lesson",
    "check": "check cells and check functions belong together",
    "config": "configs load with the real loader, without errors",
    "mojibake": "no garbled and no invisible characters",
    "link": "links lead somewhere, in every face",
    "picture": "pictures are in lessons/images and have an alt text",
    "face": "nothing that the terminal or JupyterLab cannot show",
    "title": "the first heading is the title, and headings do not skip a level",
    "id": "ids and numbers are unique, and the file is called after them",
    "prerequisite": "prerequisites are lessons that come before",
    "command": "commands of ava exist",
    "time": "the time estimate is right within a factor of two",
}


@dataclass(frozen=True)
class Subject:
    """A lesson to be linted, and what stands around it.

    Attributes:
        lesson: The lesson.
        text: The text of its file.
        others: All other lessons that count: those of the course, and those linted with it.
        commands: The names of the commands of `ava`; None where nobody knows them.
    """

    lesson: Lesson
    text: str
    others: tuple[Lesson, ...] = ()
    commands: Collection[str] | None = None

    @property
    def name(self) -> str:
        """The file, for messages."""
        return str(self.lesson.path)

    @cached_property
    def markups(self) -> tuple[Markup, ...]:
        """What stands in the words, block by block."""
        return tuple(markup(block) for block in self.lesson.blocks if isinstance(block, Text))

    def problem(self, line: int, rule: str, message: str, fix: str | None = None) -> Problem:
        """A problem of this lesson."""
        return Problem(self.name, line, rule, message, fix)


_PARTS: Final = (
    linting_words.problems,
    linting_faces.problems,
    linting_links.problems,
    linting_cells.problems,
    linting_configs.problems,
    linting_course.problems,
    linting_time.problems,
)


def lint(
    paths: Iterable[Path] | None = None, *, commands: Collection[str] | None = None
) -> list[Problem]:
    """Lint lesson files.

    Args:
        paths: The files; by default those of the course.
        commands: The names of the commands of `ava`, to check those that lessons name.

    Returns:
        The problems in the order of files and lines.
    """
    files = course_files()
    wanted = files if paths is None else list(paths)
    found: list[Problem] = []
    # One file may be spelt in several ways: it is not another lesson with the same id.
    spelt = {each.resolve(): each for each in (*files, *wanted)}
    lessons: dict[Path, Lesson] = {}
    for place, path in spelt.items():
        lesson, problems = _scanned(path, *_version(path))
        if lesson is not None:
            lessons[place] = lesson
        if path in wanted:
            found += problems
    for path in wanted:
        if (place := path.resolve()) in lessons:
            others = tuple(lessons[each] for each in sorted(lessons) if each != place)
            text = path.read_text(encoding="utf-8-sig")
            subject = Subject(lessons[place], text, others, commands)
            for part in _PARTS:
                found += part(subject)
    rank = {str(path): number for number, path in enumerate(wanted)}
    return sorted(found, key=lambda each: (rank[each.path], each.line, each.rule, each.message))


@cache
def _scanned(path: Path, _changed: int, _size: int) -> tuple[Lesson | None, list[Problem]]:
    """A file, read once for each of its states."""
    try:
        return scan(path)
    except LessonError as error:
        message = f"{error.what} ({error.why})" if error.why else error.what
        return None, [Problem(str(path), 1, "unreadable", message, error.fix)]


def _version(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size
