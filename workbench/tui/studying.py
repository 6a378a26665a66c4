"""From a lesson into Build: the config of a cell as a draft."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.draft import Draft
    from workbench.lessons.lesson_file import Cell
    from workbench.tui.study import Study


def draft_of(study: Study, cell: Cell) -> Draft:
    """The plan that a ``%%config`` cell describes, on the file that running the cell writes.

    Raises:
        WorkbenchError: The cell's YAML or its options cannot be read.
    """
    from dataclasses import replace

    from workbench.draft import Draft
    from workbench.lessons.workspace import Workspace
    from workbench.plan import plan_from
    from workbench.runs.files import atomic_write_text

    space = Workspace.open(study.folder)
    given = replace(cell, source=study.cells[cell.id].source)
    path = space.work(study.lesson.id) / (given.config_name or "config.yaml")
    atomic_write_text(path, given.config_text.rstrip("\n") + "\n")
    overrides = _options(given.config_arguments) | {"run.runs_dir": str(space.runs)}
    return Draft(plan_from(layers=[str(path)], overrides=overrides))


def _options(words: tuple[str, ...]) -> dict[str, str]:
    """``--key value`` as `plan_from` takes them."""
    found: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        if word.startswith("--"):
            key, equals, value = word[2:].partition("=")
            found[key.replace("-", "_")] = value if equals else next(rest, "true")
    return found
