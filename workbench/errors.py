"""The exception tree. Every error that a user can cause is one of these.

    WorkbenchError            exit 1
    ├── UsageError            exit 2   the command line is wrong
    ├── ConfigError           exit 2   a layer cannot be read, or the plan has errors
    ├── DataError             exit 2   the training text cannot be used
    ├── LessonError           exit 2   a lesson file cannot be read, or there is no such lesson
    ├── RunError              exit 1   a run directory cannot be made, read, started or stopped
    ├── CheckpointError       exit 1   no checkpoint verifies, or none can be written
    └── TrainingError         exit 1   the training had to stop (non-finite loss, out of memory)

An error says what happened, where, why, and what to do. Faces print ``render()``; the trainer hands
errors to the faces through a file as ``to_dict()``. ``assert`` is for our own invariants only.
"""

from __future__ import annotations

from typing import Any, ClassVar


class WorkbenchError(Exception):
    """Something the user can understand and repair.

    Args:
        what: One sentence: what is wrong.
        where: The place: ``file:line``, a key path, a directory.
        why: The reason, when the sentence does not carry it.
        fix: What to do, as something that can be typed or edited.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self, what: str, *, where: str | None = None, why: str | None = None, fix: str | None = None
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.why = why
        self.fix = fix

    def render(self) -> str:
        """The message as a person reads it: one line for each thing that is known."""
        lines = [f"error: {self.what}"]
        for label, text in (("where", self.where), ("why", self.why), ("try", self.fix)):
            if text:
                first, *rest = text.splitlines()
                lines.append(f"  {label + ':':<7}{first}")
                lines.extend(f"         {line}" for line in rest)
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """The error as JSON-ready data, to cross a process border."""
        return {
            "kind": type(self).__name__,
            "what": self.what,
            "where": self.where,
            "why": self.why,
            "fix": self.fix,
        }

    @staticmethod
    def from_dict(data: dict[str, Any]) -> WorkbenchError:
        """The error that ``to_dict`` wrote; an unknown kind becomes a plain ``WorkbenchError``."""
        kinds: dict[str, type[WorkbenchError]] = {
            kind.__name__: kind
            for kind in (
                UsageError,
                ConfigError,
                DataError,
                LessonError,
                RunError,
                CheckpointError,
                TrainingError,
            )
        }
        kind = kinds.get(str(data.get("kind")), WorkbenchError)
        return kind(
            str(data.get("what", "unknown error")),
            where=data.get("where"),
            why=data.get("why"),
            fix=data.get("fix"),
        )


class UsageError(WorkbenchError):
    """The command line asks for something that does not exist."""

    exit_code = 2


class ConfigError(WorkbenchError):
    """A config layer cannot be read, or the plan made from the layers is wrong."""

    exit_code = 2


class DataError(WorkbenchError):
    """The training text is missing, empty, binary or undecodable."""

    exit_code = 2


class LessonError(WorkbenchError):
    """A lesson file cannot be read, or there is no lesson of that name."""

    exit_code = 2


class RunError(WorkbenchError):
    """A run directory cannot be made, read, started or stopped."""


class CheckpointError(WorkbenchError):
    """A checkpoint cannot be written, or none that was written verifies."""


class TrainingError(WorkbenchError):
    """The training had to stop: a non-finite number, or memory that ran out."""
