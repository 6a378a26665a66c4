"""The arguments of a check when no kernel runs: what the learner's notebook says, or a receipt.

A check is called in a cell, with literals (``run="first"``) or with variables that an exercise has
set (``answer=answer_q1``). The cells as the learner has them are read, not run. A variable that is
computed has no value until its cell runs; then the newest receipt of the check says what it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.lessons import receipts
from workbench.lessons.calls import NOTHING, assigned, check_calls
from workbench.lessons.notebooks_reading import read_notebook

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workbench.lessons.lesson_file import Lesson
    from workbench.lessons.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Given:
    """The arguments of one check.

    Attributes:
        arguments: Those whose value is known.
        unknown: Those whose value is not; the check cannot be judged by them.
    """

    arguments: Mapping[str, Any]
    unknown: tuple[str, ...] = ()


def given(workspace: Workspace, lesson: Lesson) -> dict[str, Given]:
    """The arguments of every check of a lesson."""
    remembered = {
        row.check: row.given for row in receipts.read(workspace) if row.lesson == lesson.id
    }
    found = {check: Given({}) for check in lesson.checks}
    values: dict[str, Any] = {}
    for source in _sources(workspace, lesson):
        for call in check_calls(source):
            if call.check not in found:
                continue
            arguments = dict(call.given)
            unknown = [name for name in call.unknown if name != "**"]
            for name, variable in call.names.items():
                value = values.get(variable, NOTHING)
                if value is NOTHING:
                    unknown.append(name)
                else:
                    arguments[name] = value
            known = remembered.get(call.check, {})
            arguments |= {name: known[name] for name in unknown if name in known}
            left = tuple(name for name in unknown if name not in known)
            found[call.check] = Given(arguments, left)
        values |= assigned(source)
    return found


def _sources(workspace: Workspace, lesson: Lesson) -> list[str]:
    """The code of the learner's notebook; of the lesson where there is none."""
    notebook = read_notebook(workspace.notebook(lesson))
    if notebook is None:
        return [cell.source for cell in lesson.cells]
    return [cell["source"] for cell in notebook["cells"] if cell["cell_type"] == "code"]
