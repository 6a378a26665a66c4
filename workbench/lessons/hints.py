"""Hints, one at a time: how many a learner has asked for is remembered in the workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.runs.files import atomic_write_json, read_json

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.lessons.workspace import Workspace


def _file(workspace: Workspace) -> Path:
    return workspace.path / ".ava" / "hints.json"


def revealed(workspace: Workspace, lesson: str, check: str) -> int:
    """How many hints of a check have been asked for."""
    counts = read_json(_file(workspace)).get(lesson)
    count = counts.get(check) if isinstance(counts, dict) else None
    return count if isinstance(count, int) and count > 0 else 0


def reveal(workspace: Workspace, lesson: str, check: str, of: int) -> int:
    """Count one more, up to so many; returns how many there are to be shown now.

    Raises:
        RunError: The disk does not allow it.
    """
    path = _file(workspace)
    shown = min(of, revealed(workspace, lesson, check) + 1)
    known = read_json(path)
    counts = known.get(lesson)
    known[lesson] = {**(counts if isinstance(counts, dict) else {}), check: shown}
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write_json(path, known)
    return shown
