"""How far a learner is, as something that a cell shows."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.lessons import progress
from workbench.lessons.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.lessons.lesson_file import Lesson
    from workbench.lessons.progress import Progress

_WIDTH = 10  # characters of a bar


@dataclass(frozen=True)
class Overview:
    """Progress in some lessons, with a plain and an HTML form."""

    progress: tuple[Progress, ...]

    def text(self) -> str:
        """One line per lesson."""
        return "\n".join(
            f"{each.lesson.number:>2}  {each.lesson.title:<42.42}  {bar(each)}  {words(each)}"
            for each in self.progress
        )

    def html(self) -> str:
        """A table that needs nothing from elsewhere."""
        rows = "".join(
            f"<tr><td style='text-align:right'>{each.lesson.number}</td>"
            f"<td style='text-align:left'>{html.escape(each.lesson.title)}</td>"
            f"<td><progress max='{max(each.total, 1)}' value='{each.passed}' "
            f"aria-label='{html.escape(each.lesson.title, quote=True)}'></progress></td>"
            f"<td style='text-align:left'>{words(each)}</td></tr>"
            for each in self.progress
        )
        head = "<tr><th></th><th style='text-align:left'>lesson</th><th>passed</th><th></th></tr>"
        return f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>"

    def __repr__(self) -> str:
        return self.text()

    def _repr_mimebundle_(self, **_kwargs: Any) -> dict[str, Any]:
        return {"text/plain": self.text(), "text/html": self.html()}


def overview(workspace: Workspace | Path | str | None = None) -> Overview:
    """Progress in all lessons of the course.

    Args:
        workspace: By default ``$AVA_WORKSPACE``, else the current folder.
    """
    from workbench.lessons.catalogue import course

    lessons: list[Lesson] = course()
    place = workspace if isinstance(workspace, Workspace) else Workspace.open(workspace)
    return Overview(tuple(progress.of(place, lessons)))


def bar(each: Progress) -> str:
    """Passed checks as a bar; stale passes as a lighter part of it."""
    if not each.total:
        return "·" * _WIDTH
    stale = sum(status == "stale" for status in each.checks.values())
    full = _WIDTH * each.passed // each.total
    light = _WIDTH * (each.passed + stale) // each.total - full
    return "█" * full + "▒" * light + "·" * (_WIDTH - full - light)


def words(each: Progress) -> str:
    """Progress in a few words."""
    if each.done:
        return "done"
    if not each.total:
        return "nothing to check"
    stale = sum(status == "stale" for status in each.checks.values())
    text = f"{each.passed} of {each.total}"
    return f"{text}, {stale} to run again" if stale else text
