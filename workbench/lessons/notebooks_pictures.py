"""The pictures of lessons, copied to where the notebooks look for them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from workbench.errors import WorkbenchError
from workbench.lessons.lesson_file import Text
from workbench.lessons.markup import markup
from workbench.lessons.notebooks_reading import Prepared
from workbench.runs.files import atomic_write_bytes, atomic_write_json, explain, read_json

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from workbench.lessons.lesson_file import Lesson
    from workbench.lessons.workspace import Workspace

FOLDER: Final = "images"
_SHIPPED: Final = "pictures.json"  # name -> hash of what we have written


def pictures(lesson: Lesson) -> list[Path]:
    """The picture files that a lesson shows; those that are missing are the linter's business."""
    found = []
    for block in lesson.blocks:
        if isinstance(block, Text) and "![" in block.markdown:
            for picture in markup(block).pictures:
                path = lesson.path.parent / unquote(picture.target)
                if path.parent == lesson.path.parent / FOLDER and path.is_file():
                    found.append(path)
    return found


def copy_pictures(workspace: Workspace, lessons: Iterable[Lesson]) -> list[Prepared]:
    """Bring the pictures into the workspace; one that somebody has changed there stays.

    Returns:
        What was done, without those that are as they should be.

    Raises:
        WorkbenchError: The folder cannot be written.
    """
    record = workspace.path / ".ava" / _SHIPPED
    shipped = read_json(record)
    done = []
    for source in dict.fromkeys(path for lesson in lessons for path in pictures(lesson)):
        target = workspace.path / FOLDER / source.name
        data = source.read_bytes()
        there = target.read_bytes() if target.is_file() else None
        if there == data:
            continue
        if there is not None and shipped.get(source.name) != _hash(there):
            note = "left alone: it is not the lesson's picture; move it away"
            done.append(Prepared(target, "foreign", (note,)))
            continue
        try:
            target.parent.mkdir(exist_ok=True)
            atomic_write_bytes(target, data)
            shipped[source.name] = _hash(data)
            atomic_write_json(record, shipped)
        except OSError as error:
            raise WorkbenchError(
                "a picture of a lesson cannot be copied", where=str(target), why=explain(error)
            ) from None
        done.append(Prepared(target, "new" if there is None else "updated"))
    return done


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
