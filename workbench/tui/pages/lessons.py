"""The pages of Learn: the course as a list, and what a lesson is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.tui.rows import Row, clip, columns, fit, heading, wrap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.lessons.progress import Progress
    from workbench.tui.widgets.canvas import Page

CHECKS = {
    "pass": ("✓", "good", "passed"),
    "fail": ("✗", "error", "not yet"),
    "unattempted": ("○", "dim", "not attempted"),
    "stale": ("▲", "warn", "passed before, run it again"),
    "error": ("▲", "warn", "the check itself failed"),
}
"""Sign, style and words of a check's status."""


def lesson_sign(progress: Progress) -> tuple[str, str]:
    """The sign of a lesson in the list, and its style."""
    if progress.done:
        return "✓", "good"
    return ("◐", "live") if progress.started else ("○", "dim")


def list_rows(
    course: Sequence[Progress], chosen: int, width: int, *, focused: bool
) -> tuple[list[Row], list[int | None]]:
    """The course by category; and for each row, the lesson that stands there."""
    rows: list[Row] = []
    places: list[int | None] = []
    category = ""
    for index, each in enumerate(course):
        lesson = each.lesson
        if lesson.category != category:
            if category:
                rows.append([])
                places.append(None)
            category = lesson.category
            rows.append([(f" {category.upper()}", "heading")])
            places.append(None)
        mark = ("!" if focused else "~") if index == chosen else ""
        sign, role = lesson_sign(each)
        left: Row = [
            (f" {lesson.number:>2} ", f"dim{mark}"),
            (f"{sign} ", role + mark),
            (clip(lesson.title, width - 14), f"value{mark}"),
        ]
        count = f"{each.passed}/{each.total}" if each.started else f"{lesson.estimated_minutes} min"
        right: Row = [(f"{count} ", f"dim{mark}")]
        used = sum(len(text) for text, _ in (*left, *right))
        rows.append(fit([*left, (" " * max(width - used, 1), mark), *right], width, mark))
        places.append(index)
    return rows, places


def lesson_page(progress: Progress, course: Sequence[Progress], validated: str) -> Page:
    """What a lesson is about, what it takes, and how far one is.

    Args:
        progress: The lesson and its checks.
        course: All of them, for the prerequisites.
        validated: Where its solution passed all checks; empty while that is not known.
    """
    lesson = progress.lesson

    def page(width: int, height: int) -> list[Row]:
        del height
        rows: list[Row] = [
            columns([(lesson.title, "title")], [(f"lesson {lesson.number}", "dim")], width),
            *wrap(lesson.description, width),
            [],
        ]
        facts = [
            ("takes", f"{lesson.estimated_minutes} minutes"),
            ("about", f"{lesson.category}: {', '.join(lesson.tags)}"),
            ("runs on", ", ".join(lesson.supported_hardware)),
            ("validated", validated or "not with this version"),
        ]
        for label, text in facts:
            first, *rest = wrap(text, width - 12)
            rows += [[(f"{label:<12}", "dim"), *first], *([(" " * 12, ""), *row] for row in rest)]
        rows += _before(progress, course, width)
        rows += [[], [(" enter  Open ", "button@open")], []]
        if progress.checks:
            rows += [heading("Checks", width, f"{progress.passed} of {progress.total} passed")]
        titles = {cell.id: cell.title or cell.id for cell in lesson.cells}
        for check, status in progress.checks.items():
            sign, role, words = CHECKS[status]
            left: Row = [(f"{sign} ", role), (clip(titles.get(check, check), width - 20), "")]
            rows.append(columns(left, [(words, "dim")], width))
        return rows

    return page


def _before(progress: Progress, course: Sequence[Progress], width: int) -> list[Row]:
    """The lessons that come first, with a sign where one has done them."""
    known = {each.lesson.id: each for each in course}
    rows: list[Row] = []
    for number, name in enumerate(progress.lesson.prerequisites):
        label = "after" if number == 0 else ""
        found = known.get(name)
        sign, role = lesson_sign(found) if found else ("○", "dim")
        title = found.lesson.title if found else name
        rows.append(fit([(f"{label:<12}", "dim"), (f"{sign} ", role), (title, "")], width))
    return rows
