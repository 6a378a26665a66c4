"""The first page of a workspace: what the course is, its lessons, and how far one is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.lessons import progress
from workbench.lessons.notebooks import KERNEL

if TYPE_CHECKING:
    from workbench.lessons.lesson_file import Lesson
    from workbench.lessons.progress import Progress
    from workbench.lessons.workspace import Workspace

_WELCOME = """\
# Know before you train

This course teaches the training of language models by doing it. Every lesson trains small models on
this machine, changes one thing, and looks at what happens. The numbers you see are your own.

**How it works.** Open a lesson below and run its cells from top to bottom with Shift+Enter. Some
cells are yours to change. A check then looks at what your runs left on disk, and says why when
something is missing. A hint is one call away: `learn.hint("name of the check")`.

**What is yours stays yours.** Your changes to a notebook are never overwritten, not even when a new
version of a lesson comes out. To begin a lesson again, rename its notebook and start `ava lab` once
more. The same lessons run in a terminal: `ava-tui`, then Learn."""

_PROGRESS = """\
from workbench.lessons.overview import overview

overview()  # run this cell to see how far you are now"""


def start_page(workspace: Workspace, lessons: list[Lesson]) -> dict[str, Any]:
    """The first page as a notebook (nbformat 4.5)."""
    table = _table(progress.of(workspace, lessons))
    code: dict[str, Any] = {"cell_type": "code", "execution_count": None, "outputs": []}
    cells = [
        {"id": "welcome", "cell_type": "markdown", "metadata": {}, "source": _WELCOME},
        {"id": "lessons", "cell_type": "markdown", "metadata": {}, "source": table},
        {**code, "id": "progress", "metadata": {}, "source": _PROGRESS},
    ]
    metadata = {"kernelspec": dict(KERNEL)}
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells}


def _table(found: list[Progress]) -> str:
    rows = [
        "## The lessons",
        "",
        "| # | Lesson | Minutes | About | Passed |",
        "|--:|:--|--:|:--|:--|",
    ]
    for each in found:
        lesson = each.lesson
        link = f"[{_safe(lesson.title)}]({lesson.notebook_name})"
        rows.append(
            f"| {lesson.number or ''} | {link} | {lesson.estimated_minutes} "
            f"| {_safe(lesson.category)} | {_passed(each)} |"
        )
    minutes = sum(each.lesson.estimated_minutes for each in found)
    rows += ["", f"{len(found)} lessons, about {minutes / 60:.0f} hours in all."]
    return "\n".join(rows)


def _passed(each: Progress) -> str:
    if each.total == 0:
        return "–"
    sign = "✓ " if each.done else ""
    return f"{sign}{each.passed} of {each.total}"


def _safe(text: str) -> str:
    """Text in a cell of a Markdown table."""
    return text.replace("|", "\\|").replace("[", "\\[").replace("]", "\\]")
