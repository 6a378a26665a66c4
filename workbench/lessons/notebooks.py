"""Lessons as notebooks, and back.

jupytext converts. What we add is what lets a learner's copy be updated: cell ids that stay the same
from one version of a lesson to the next, and in the notebook's metadata a hash of every cell as it
was shipped. A cell that still has its hash was not touched.

A code cell has the id of its lesson's cell. Words take theirs from the cell above them.
"""

from __future__ import annotations

import hashlib
import json
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from workbench.errors import LessonError, WorkbenchError
from workbench.lessons.lesson_file import Cell, Lesson, Text
from workbench.lessons.notebooks_reading import COPY, Prepared, is_copy, read
from workbench.lessons.workspace import START
from workbench.runs.files import atomic_write_text, explain

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from workbench.lessons.workspace import Workspace

FORMAT: Final = "md:myst"
KERNEL: Final = {"display_name": "Ava Workbench", "language": "python", "name": "ava-workbench"}


def source_hash(source: str) -> str:
    """Hash of a cell's text, whatever blank lines stand at its end."""
    text = source.replace("\r\n", "\n").rstrip()
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def cell_ids(lesson: Lesson) -> list[str]:
    """The ids of the notebook's cells, one per block, each at most 64 characters."""
    ids: list[str] = []
    above, count = "start", 0
    for block in lesson.blocks:
        if isinstance(block, Cell):
            above, count = block.id, 0
            ids.append(block.id)
        else:
            count += 1
            ids.append(f"{above}--text" if count == 1 else f"{above}--text-{count}")
    return ids


def to_notebook(lesson: Lesson) -> dict[str, Any]:
    """A lesson as a notebook (nbformat 4.5).

    Raises:
        LessonError: The file has changed, or holds a character at which readers disagree about
            where a line ends.
    """
    import jupytext

    notebook: dict[str, Any] = jupytext.reads(_text(lesson), fmt=FORMAT)
    cells = notebook["cells"]
    theirs = [source_hash(cell["source"]) for cell in cells]
    ours = [source_hash(_source(block)) for block in lesson.blocks]
    if theirs != ours:
        raise LessonError(
            "the lesson is read in two ways",
            where=str(lesson.path),
            why="it has changed since it was read, or an odd character ends a line in it",
            fix=f"ava lessons lint {lesson.path}",
        )
    for cell, cell_id in zip(cells, cell_ids(lesson), strict=True):
        cell["id"] = cell_id
    return notebook


def with_copy(notebook: dict[str, Any], version: str) -> dict[str, Any]:
    """A notebook that carries the hashes of its cells; a later update sees what is untouched.

    Args:
        notebook: The notebook.
        version: What tells it from every other version of it.
    """
    cells = [[cell["id"], source_hash(cell["source"])] for cell in notebook["cells"]]
    metadata = {**notebook["metadata"], COPY: {"version": version, "cells": cells}}
    return {**notebook, "metadata": metadata}


def to_markdown(notebook: dict[str, Any]) -> str:
    """A notebook as the text of a lesson, without what belongs to a learner's copy."""
    import jupytext

    metadata = {key: value for key, value in notebook["metadata"].items() if key != COPY}
    plain = jupytext.reads(json.dumps({**notebook, "metadata": metadata}), fmt="ipynb")
    text: str = jupytext.writes(plain, fmt=FORMAT)
    return text


def prepare(workspace: Workspace, lessons: list[Lesson]) -> list[Prepared]:
    """Write the notebooks of lessons; with the whole course its first page too.

    See `Workspace.prepare`.
    """
    from workbench.lessons.catalogue import course_files
    from workbench.lessons.notebooks_pictures import copy_pictures
    from workbench.lessons.notebooks_start import start_page

    with workspace.lock():
        done = [
            _put(
                workspace.notebook(lesson), source_hash(_text(lesson)), partial(to_notebook, lesson)
            )
            for lesson in lessons
        ]
        done += copy_pictures(workspace, lessons)
        if set(course_files()) <= {lesson.path for lesson in lessons}:
            page = start_page(workspace, lessons)
            version = source_hash("\0".join(cell["source"] for cell in page["cells"]))
            done.append(_put(workspace.path / START, version, lambda: page))
        return done


def _put(path: Path, version: str, make: Callable[[], dict[str, Any]]) -> Prepared:
    """Make one notebook what it should be, without touching what is the learner's.

    Args:
        path: The notebook.
        version: The version that it should have; nothing is done when it has it.
        make: Makes the notebook.
    """
    from workbench.lessons.notebooks_merge import merge

    target = path.resolve()  # a link stays a link
    try:
        mine = read(target)
    except FileNotFoundError:
        _write(target, with_copy(make(), version))
        return Prepared(path, "new")
    except (OSError, ValueError) as error:
        reason = explain(error) if isinstance(error, OSError) else str(error)
        note = f"left alone: {reason}; move it away, and it is written anew"
        return Prepared(path, "unreadable", (note,))
    copy = mine["metadata"].get(COPY)
    if not is_copy(copy):
        note = "left alone: it was not made from the lesson; move it away, and it is written anew"
        return Prepared(path, "foreign", (note,))
    if copy["version"] == version:
        return Prepared(path, "unchanged")
    merged, notes = merge(mine, with_copy(make(), version))
    _write(target, merged)
    return Prepared(path, "updated", tuple(notes))


def _write(path: Path, notebook: dict[str, Any]) -> None:
    """Write a notebook as Jupyter does: sorted keys, one line of source per line."""
    cells = [
        {**cell, "source": cell["source"].splitlines(keepends=True)} for cell in notebook["cells"]
    ]
    data = {**notebook, "cells": cells}
    text = json.dumps(data, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    try:
        atomic_write_text(path, text)
    except OSError as error:
        raise WorkbenchError(
            "the notebook cannot be written", where=str(path), why=explain(error)
        ) from None


def _source(block: Text | Cell) -> str:
    return block.source if isinstance(block, Cell) else block.markdown


def _text(lesson: Lesson) -> str:
    text = lesson.path.read_text(encoding="utf-8-sig")  # line ends become \n
    return text.replace("\r", "\n")
