"""Rules on lessons among each other: ids, numbers, files, prerequisites."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.lessons.lesson_file import Lesson
    from workbench.lessons.linting import Subject
    from workbench.lessons.problems import Problem


def problems(subject: Subject) -> Iterator[Problem]:
    """Problems of these rules."""
    lesson = subject.lesson
    for other in subject.others:
        if other.id == lesson.id:
            message = f"{other.path.name} has the id {lesson.id!r} too"
            yield subject.problem(1, "id", message, "give one of the two another id")
        elif other.number and other.number == lesson.number and _together(lesson, other):
            message = f"{other.path.name} has the number {lesson.number} too"
            yield subject.problem(1, "id", message, "give one of the two another number")
    if not re.fullmatch(rf"(\d\d-)?{re.escape(lesson.id)}\.md", lesson.path.name):
        message = f"the file of the lesson {lesson.id!r} is called {lesson.path.name}"
        name = f"{lesson.number:02d}-{lesson.id}.md" if lesson.number else f"{lesson.id}.md"
        yield subject.problem(1, "id", message, f"mv {lesson.path.name} {name}")
    yield from _prerequisites(subject)


def _prerequisites(subject: Subject) -> Iterator[Problem]:
    lesson = subject.lesson
    known = {each.id: each for each in subject.others}
    line = line_of_key(subject.text, "prerequisites")
    for name in lesson.prerequisites:
        if name == lesson.id:
            message = "the lesson is its own prerequisite"
            yield subject.problem(line, "prerequisite", message, "leave it out")
        elif name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            fix = close[0] if close else "ava lessons list shows the ids"
            yield subject.problem(line, "prerequisite", f"there is no lesson {name!r}", fix)
        elif 0 < lesson.number < known[name].number and _together(lesson, known[name]):
            message = f"{name} comes after this lesson in the course, so it is no prerequisite"
            yield subject.problem(line, "prerequisite", message, "leave it out, or change a number")
    if (circle := _circle(lesson, known)) is not None:
        message = f"prerequisites go in a circle: {' → '.join(circle)}"
        yield subject.problem(line, "prerequisite", message, "take one of them out")


def _together(lesson: Lesson, other: Lesson) -> bool:
    """Whether two lessons are of one course: a folder."""
    return lesson.path.parent == other.path.parent


def _circle(lesson: Lesson, known: dict[str, Lesson]) -> list[str] | None:
    """The way from a lesson's prerequisites back to it; None where there is none."""
    ways = [[lesson.id, name] for name in lesson.prerequisites if name != lesson.id]
    seen: set[str] = set()
    while ways:
        way = ways.pop()
        if way[-1] == lesson.id:
            return way
        if way[-1] in known and way[-1] not in seen:
            seen.add(way[-1])
            ways += [[*way, name] for name in known[way[-1]].prerequisites]
    return None


def line_of_key(text: str, key: str) -> int:
    """The line of a key of the front matter."""
    found = re.search(rf"^ +[\"']?{key}\b", text, re.MULTILINE)
    return text[: found.start()].count("\n") + 1 if found else 1
