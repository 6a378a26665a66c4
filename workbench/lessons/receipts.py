"""Receipts: what was checked, when, and what came of it. One JSON line each, never changed.

Progress and the validation of lessons are computed from them (`workbench.lessons.progress`,
`workbench.lessons.validation`), so there is no state that could disagree with what happened.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

from workbench.errors import WorkbenchError
from workbench.runs.files import encode, explain, parse_line, read_bytes, to_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from workbench.lessons.workspace import Workspace

STATUSES: Final = ("pass", "fail", "unattempted", "stale", "error")


@dataclass(frozen=True)
class Receipt:
    """One check that was run.

    Attributes:
        t: When, in seconds since 1970, UTC.
        lesson: Id of the lesson.
        digest: In a workspace the digest of the check's cell; in the shipped validation that of
            the lesson.
        check: Id of the check.
        check_digest: Digest of the check's code.
        status: One of `STATUSES`.
        evidence: What the verdict rests on, JSON-ready.
        versions: Versions of the workbench and of what computed, by name.
        device: What it was computed on: ``cpu``, or the name of a device profile.
        given: The arguments that the learner's cell gave the check.
    """

    t: float
    lesson: str
    digest: str
    check: str
    check_digest: str
    status: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    device: str = "cpu"
    given: Mapping[str, Any] = field(default_factory=dict)


def append(workspace: Workspace, receipt: Receipt) -> None:
    """Add a receipt to a workspace, durably.

    Raises:
        WorkbenchError: It cannot be written.
    """
    append_to(workspace.receipts, receipt)


def append_to(path: Path, receipt: Receipt) -> None:
    """Add a receipt to a file: one write under a lock, so that processes cannot mix their lines.

    A line that a crash has torn before is closed first and stays what it is.

    Raises:
        WorkbenchError: It cannot be written.
    """
    line = encode(to_json(asdict(receipt)) + "\n")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o644)
        try:
            with contextlib.suppress(OSError):  # some network homes have no locks
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            size = os.fstat(descriptor).st_size
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            os.write(descriptor, b"\n" + line if torn else line)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise WorkbenchError(
            "the result of the check cannot be kept", where=str(path), why=explain(error)
        ) from None


def read(workspace: Workspace) -> list[Receipt]:
    """All receipts of a workspace, oldest first; none where there is no file."""
    return read_from(workspace.receipts)


def read_from(path: Path) -> list[Receipt]:
    """All receipts of a file in the order of the file; torn and foreign lines are skipped.

    Raises:
        WorkbenchError: The file is there and cannot be read.
    """
    try:
        data = read_bytes(path)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise WorkbenchError(
            "the receipts of the lessons cannot be read", where=str(path), why=explain(error)
        ) from None
    return [found for line in data.split(b"\n") if (found := _receipt(parse_line(line)))]


_KINDS: Final[dict[str, type | tuple[type, ...]]] = {
    "t": (int, float),
    **dict.fromkeys(("lesson", "digest", "check", "check_digest", "status", "device"), str),
    **dict.fromkeys(("evidence", "versions", "given"), dict),
}
_REQUIRED: Final = ("t", "lesson", "digest", "check", "check_digest", "status")
_NAMES: Final = tuple(each.name for each in fields(Receipt))


def _receipt(row: dict[str, Any]) -> Receipt | None:
    """The receipt in a row; unknown keys of a later version are no reason to lose it."""
    known = {key: row[key] for key in _NAMES if key in row}
    if any(key not in known for key in _REQUIRED) or known["status"] not in STATUSES:
        return None
    if not all(isinstance(value, _KINDS[key]) for key, value in known.items()):
        return None
    return Receipt(**known)
