"""What Build asks when a plan is made for hardware that is not here: to take it there instead."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.tui.rows import Row, wrap
from workbench.tui.screens.dialog import Answer, Dialog
from workbench.tui.screens.picker import Item, Picker

if TYPE_CHECKING:
    from workbench.dialects.base import Writing
    from workbench.draft import Draft

_BACK = Answer(("escape",), "Back", None)


def question(why: str) -> Dialog:
    """``export``, ``here``, or None to go back."""

    def page(width: int, height: int) -> list[Row]:
        del height
        first, *rest = wrap(why, width - 2)
        rows: list[Row] = [[("▲ ", "warn"), *first], *([("  ", ""), *row] for row in rest), []]
        return rows + wrap("An export is a script or a manifest that starts it there.", width)

    answers = [
        Answer(("enter", "e"), "Export", "export"),
        Answer(("l",), "Launch here all the same", "here"),
        _BACK,
    ]
    return Dialog("Not on this machine", page, answers)


def targets() -> Picker:
    """The ways of starting a plan somewhere else."""
    from workbench.dialects.cluster import EXPORTERS

    items = [Item(each.name, f"{each.name:<11} {each.title}") for each in EXPORTERS.values()]
    return Picker("Export to", items)


def folder(target: str) -> Dialog:
    """The folder of the files; empty for the one that is offered."""
    rows: list[Row] = [
        [("A file that starts the training, and the config beside it.", "")],
        [("Files that are there already are not written over.", "dim")],
        [],
        [("Folder", "")],
    ]
    answers = [Answer(("enter",), "Write", ""), _BACK]
    return Dialog(f"Export: {target}", lambda _w, _h: rows, answers, field=f"{target}-job")


def export(draft: Draft, target: str, where: str) -> Dialog:
    """Write the files and say how to start them.

    Raises:
        ConfigError: The plan cannot be started that way, or a file cannot be written.
    """
    from workbench.dialects.cluster import EXPORTERS
    from workbench.dialects.saving import save

    config = draft.plan.config
    writing = EXPORTERS[target].write(config, chosen=frozenset(draft.plan.composed.origins))
    paths = save(Path(where or f"{target}-job").expanduser(), writing)
    return _written(writing, paths)


def _written(writing: Writing, paths: list[Path]) -> Dialog:
    def page(width: int, height: int) -> list[Row]:
        del height
        rows: list[Row] = [[("✓ ", "good"), (shlex.quote(str(path)), "value")] for path in paths]
        if writing.command:
            rows += [[], [("Start it with", "dim")]]
            for line in writing.command.splitlines():
                rows += wrap(line, width, "value", indent="    ")
        for lost in writing.lost:
            rows += [[], *wrap(f"{lost.path}: {lost.reason}", width, "dim")]
        return rows

    close = Answer(("escape", "enter", "q"), "Close", None)
    return Dialog("Written", page, [close])
