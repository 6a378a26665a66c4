"""Rule on the time estimate: reading, thinking and running, each at a stated rate.

Reading: 200 words a minute, a little less than the 238 of silent reading of English non-fiction
(Brysbaert 2019, "How many words do we read per minute?", Journal of Memory and Language 109),
because these words come with figures. Running: as the author gate has measured it. For the rest
nobody has measured learners yet, so these are our assumptions: half a minute to run a cell and look
at what it shows, two minutes for an exercise. They do to catch an estimate that is off by two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from workbench.lessons.linting_course import line_of_key
from workbench.lessons.markup import markup

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.lessons.lesson_file import Lesson
    from workbench.lessons.linting import Subject
    from workbench.lessons.problems import Problem

WORDS_PER_MINUTE: Final = 200
MINUTES_PER_CELL: Final = 0.5
MINUTES_PER_EXERCISE: Final = 2.0
FACTOR: Final = 2.0


@dataclass(frozen=True, slots=True)
class Minutes:
    """What a lesson takes, in minutes."""

    reading: float
    doing: float
    running: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.reading + self.doing + self.running


def minutes(lesson: Lesson) -> Minutes:
    """How long a lesson takes, from its words, its cells and its validation receipts."""
    from workbench.lessons.lesson_file import Text
    from workbench.lessons.validation import measured_seconds

    words = sum(markup(block).words for block in lesson.blocks if isinstance(block, Text))
    exercises = sum(cell.is_edit or cell.is_config for cell in lesson.cells)
    shown = len(lesson.cells) - exercises
    return Minutes(
        reading=words / WORDS_PER_MINUTE,
        doing=exercises * MINUTES_PER_EXERCISE + shown * MINUTES_PER_CELL,
        running=(measured_seconds(lesson) or 0.0) / 60,
    )


def problems(subject: Subject) -> Iterator[Problem]:
    """Problems of this rule."""
    stated = subject.lesson.estimated_minutes
    found = minutes(subject.lesson)
    if not found.total / FACTOR <= stated <= found.total * FACTOR:
        parts = f"{found.reading:.0f} to read, {found.doing:.0f} to do, {found.running:.0f} to run"
        message = f"it takes about {found.total:.0f} minutes ({parts}), not {stated}"
        line = line_of_key(subject.text, "estimatedMinutes")
        fix = f"estimatedMinutes: {max(1, round(found.total))}"
        yield subject.problem(line, "time", message, fix)
