"""A learner's workspace: one folder with notebooks, configs, runs, and what has been passed.

NN-id.ipynb        a lesson as the learner's own notebook
START.ipynb        the course on one page, with progress
work/ID/           configs and files that the lesson ID has made
runs/              runs, as everywhere else
.ava/              receipts.jsonl and the lock of whoever prepares the notebooks
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import WorkbenchError
from workbench.runs.files import explain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from workbench.lessons.lesson_file import Lesson
    from workbench.lessons.notebooks_reading import Prepared

MARK = ".ava"
VARIABLE = "AVA_WORKSPACE"
START = "START.ipynb"


@dataclass(frozen=True)
class Workspace:
    """A learner's workspace.

    Attributes:
        path: Its folder, absolute.
    """

    path: Path

    @classmethod
    def open(cls, path: Path | str | None = None) -> Workspace:
        """The workspace in that folder, made where there is none.

        Args:
            path: The folder; by default ``$AVA_WORKSPACE``, else the current folder.

        Raises:
            WorkbenchError: The folder cannot be made.
        """
        chosen = path if path is not None else os.environ.get(VARIABLE) or "."
        folder = Path(chosen).expanduser().absolute()
        try:
            (folder / MARK).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WorkbenchError(
                "the workspace of the lessons cannot be made here",
                where=str(folder),
                why=explain(error),
                fix=f"name another folder: --workspace DIR, or {VARIABLE}=DIR",
            ) from None
        return cls(folder)

    @classmethod
    def usual(cls) -> Path:
        """The folder to use when none is named.

        ``$AVA_WORKSPACE``, else the current folder if it is a workspace, else ``~/ava-lessons``.
        """
        if named := os.environ.get(VARIABLE):
            return Path(named).expanduser()
        here = Path.cwd()
        return here if (here / MARK).is_dir() else Path.home() / "ava-lessons"

    @property
    def runs(self) -> Path:
        """Where the runs of the lessons are."""
        return self.path / "runs"

    @property
    def receipts(self) -> Path:
        """The file of everything that was ever checked here."""
        return self.path / MARK / "receipts.jsonl"

    def notebook(self, lesson: Lesson) -> Path:
        """The learner's notebook of a lesson, whether it is there or not."""
        return self.path / lesson.notebook_name

    def work(self, lesson_id: str) -> Path:
        """The folder for the configs and files of a lesson; made where there is none."""
        folder = self.path / "work" / lesson_id
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def prepare(self, lessons: Iterable[Lesson]) -> list[Prepared]:
        """Write lessons as notebooks, with the whole course its first page; a learner's edits stay.

        Returns:
            What was done with each notebook, and what was kept.

        Raises:
            WorkbenchError: The folder cannot be written.
        """
        from workbench.lessons.notebooks import prepare

        return prepare(self, list(lessons))

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Only one process at a time prepares notebooks; the others wait.

        Raises:
            WorkbenchError: The folder cannot be written.
        """
        try:
            (self.path / MARK).mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path / MARK / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise WorkbenchError(
                "the workspace cannot be written", where=str(self.path), why=explain(error)
            ) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
