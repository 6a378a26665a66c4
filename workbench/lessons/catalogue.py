"""The course: the shipped lessons in their order."""

from __future__ import annotations

import os
from functools import cache
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import LessonError
from workbench.lessons.reading import read_lesson
from workbench.resources import data_dir

if TYPE_CHECKING:
    from workbench.lessons.lesson_file import Lesson


def course_files() -> list[Path]:
    """The files of the course: ``NN-id.md``, in the order of their numbers."""
    return sorted(data_dir("lessons").glob("[0-9][0-9]-*.md"))


def course() -> list[Lesson]:
    """All shipped lessons, in order.

    Raises:
        LessonError: A lesson cannot be read.
    """
    return [_read(path, *_version(path)) for path in course_files()]


def find(name: str) -> Lesson:
    """The lesson of that id or number, or in that file.

    Args:
        name: ``first-launch``, ``1``, ``01-first-launch``; of somebody's own lesson its path, or
            its id when it lies in the workspace or the current folder.

    Raises:
        LessonError: There is none, or it cannot be read.
    """
    path = path_of(name)
    if path is not None:
        return _read(path, *_version(path))
    if name.endswith(".md") or "/" in name:
        return read_lesson(Path(name))
    own = _own(name)
    if own is not None:
        return read_lesson(own)
    raise _unknown(name)


def _own(name: str) -> Path | None:
    """Somebody's own lesson of that id, ``NN-id.md`` or ``id.md``, where they work."""
    for folder in (os.environ.get("AVA_WORKSPACE"), "."):
        for pattern in ("[0-9][0-9]-", "") if folder else ():
            found = sorted(Path(str(folder)).expanduser().glob(f"{pattern}{escape(name)}.md"))
            if found:
                return found[0].absolute()
    return None


def path_of(name: str) -> Path | None:
    """The file of a lesson of the course, by its id, its number, or the name of its file."""
    for path in course_files():
        number, _, lesson_id = path.stem.partition("-")
        if name in (lesson_id, path.stem, path.name):
            return path
        if name.isascii() and name.isdecimal() and int(name) == int(number):
            return path
    return None


def _unknown(name: str) -> LessonError:
    import difflib

    ids = [path.stem.partition("-")[2] for path in course_files()]
    close = difflib.get_close_matches(name, ids, n=3, cutoff=0.5)
    return LessonError(
        f"there is no lesson {name!r}",
        fix=f"one of: {', '.join(close)}" if close else "ava lessons list shows them",
    )


def _version(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size


@cache
def _read(path: Path, _changed: int, _size: int) -> Lesson:
    """A lesson, read once for each state of its file."""
    return read_lesson(path)
