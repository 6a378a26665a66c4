"""Lessons: read, checked on evidence, and remembered.

The names below are made when they are asked for, so that a face starts before any lesson is read.
They are functions: no module of this package may be called like one of them, because importing a
module puts its name here (the classes of a lesson are in `workbench.lessons.lesson_file`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.lessons.catalogue import course as course
    from workbench.lessons.catalogue import find as find
    from workbench.lessons.reading import read_lesson as read_lesson

_HOME = {
    "course": "workbench.lessons.catalogue",
    "find": "workbench.lessons.catalogue",
    "read_lesson": "workbench.lessons.reading",
    "lesson": "workbench.lessons.learn",
}

__all__ = ["course", "find", "lesson", "read_lesson"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
