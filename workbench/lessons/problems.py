"""What is wrong in a lesson file: one kind of message for the reader and the linter."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from workbench.errors import WorkbenchError


class Problem(NamedTuple):
    """What is wrong in a lesson file, where, and what to do about it.

    Attributes:
        path: The file.
        line: Its line, counted from 1.
        rule: Name of the rule that it breaks.
        message: What is wrong, and why that matters.
        fix: What to write instead.
    """

    path: str
    line: int
    rule: str
    message: str
    fix: str | None = None

    def render(self) -> str:
        """The problem as a person reads it."""
        text = f"{self.path}:{self.line}: {self.message}  [{self.rule}]"
        return text if self.fix is None else f"{text}\n  try:   {self.fix}"


def from_error(error: WorkbenchError, name: str, line: int, rule: str) -> Problem:
    """A reader's error as a problem of the lesson, at the line that it names, or at `line`."""
    found = re.match(re.escape(name) + r":(\d+)", error.where or "")
    message = error.what if error.why is None else f"{error.what} ({error.why})"
    return Problem(name, int(found[1]) if found else line, rule, message, error.fix)
