"""Progress: a fold of the receipts over the lessons as they are now.

The newest verdict counts, for better or worse. A check that was not attempted, or that broke, says
nothing about what the learner can do and takes no pass away. A pass that another version of the
check's cell or of its code has given is ``stale``: it is no failure, and running the check again
settles it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workbench.lessons import receipts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import TypeAlias

    from workbench.lessons.lesson_file import Lesson
    from workbench.lessons.receipts import Receipt
    from workbench.lessons.workspace import Workspace

    DigestOf: TypeAlias = Callable[[Lesson, str], str | None]

_VERDICTS = ("pass", "fail")


@dataclass(frozen=True)
class Progress:
    """How far a learner is in one lesson.

    Attributes:
        lesson: The lesson.
        checks: Status of every check in order: pass, fail, unattempted, stale or error.
        latest: The receipts that decide, by check.
    """

    lesson: Lesson
    checks: Mapping[str, str]
    latest: Mapping[str, Receipt] = field(default_factory=dict)

    @property
    def passed(self) -> int:
        """How many checks are passed."""
        return sum(status == "pass" for status in self.checks.values())

    @property
    def total(self) -> int:
        """How many checks there are."""
        return len(self.checks)

    @property
    def done(self) -> bool:
        """Whether everything is passed."""
        return self.total > 0 and self.passed == self.total

    @property
    def started(self) -> bool:
        """Whether anything was ever checked."""
        return bool(self.latest)

    @property
    def next_check(self) -> str | None:
        """The first check that is not passed."""
        return next((check for check, status in self.checks.items() if status != "pass"), None)

    def to_dict(self) -> dict[str, Any]:
        """The progress as JSON-ready data."""
        return {
            "lesson": self.lesson.id,
            "passed": self.passed,
            "total": self.total,
            "done": self.done,
            "checks": dict(self.checks),
        }


def of(
    workspace: Workspace,
    lessons: Iterable[Lesson],
    *,
    check_digest: DigestOf | None = None,
) -> list[Progress]:
    """The learner's progress in each lesson.

    Args:
        workspace: Where the receipts are.
        lessons: The lessons as they are now.
        check_digest: Digest of the code of a check, from lesson and check.
    """
    rows = receipts.read(workspace)
    digest_of = check_digest or code_digest
    return [_progress(lesson, rows, digest_of) for lesson in lessons]


def code_digest(lesson: Lesson, check: str) -> str | None:
    """Digest of the code of a check; None where there is none that can be loaded."""
    from workbench.errors import WorkbenchError
    from workbench.lessons.checking import named

    try:
        return named(lesson, check).digest
    except WorkbenchError:
        return None


def _progress(lesson: Lesson, rows: list[Receipt], digest_of: DigestOf) -> Progress:
    latest: dict[str, Receipt] = {}
    for row in rows:
        if row.lesson == lesson.id and (row.check not in latest or _overrides(row, latest)):
            latest[row.check] = row
    checks = {}
    for check in lesson.checks:
        found = latest.get(check)
        current = found is not None and (
            found.digest == lesson.digest_of(check)
            and found.check_digest == digest_of(lesson, check)
        )
        checks[check] = _status(found, current=current)
    return Progress(lesson, checks, {check: latest[check] for check in checks if check in latest})


def _overrides(row: Receipt, latest: dict[str, Receipt]) -> bool:
    return row.status in _VERDICTS or latest[row.check].status not in _VERDICTS


def _status(row: Receipt | None, *, current: bool) -> str:
    if row is None:
        return "unattempted"
    if current:
        return row.status
    return "stale" if row.status in ("pass", "stale") else "unattempted"
