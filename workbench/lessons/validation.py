"""Where a lesson is known to work: computed from the receipts that the author gate has recorded.

The gate runs a lesson as a learner would: untouched, solved, and wrongly solved in every way that
its author thought of. When all of that has come out right, it records one receipt per check in
``lessons/validated.jsonl``, with the lesson's digest. A lesson is validated on a device when every
check of the lesson as it is now has such a receipt; a changed cell or check voids it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from dataclasses import asdict, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from workbench.lessons import receipts
from workbench.lessons.progress import code_digest
from workbench.lessons.receipts import Receipt
from workbench.resources import data_dir
from workbench.runs.files import atomic_write_text, to_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from workbench.lessons.lesson_file import Lesson
    from workbench.lessons.progress import DigestOf

SECONDS = "lesson_seconds"


def file() -> Path:
    """Where the shipped receipts are."""
    return data_dir("lessons") / "validated.jsonl"


def validated_on(lesson: Lesson) -> tuple[str, ...]:
    """The devices on which the lesson as it is now has been validated."""
    return tuple(sorted(_valid(lesson)))


def status(lesson: Lesson) -> str:
    """``validated``, ``outdated`` (an earlier version of it was), or ``draft``."""
    if _valid(lesson):
        return "validated"
    return "outdated" if any(row.lesson == lesson.id for row in _rows()) else "draft"


def measured_seconds(lesson: Lesson) -> float | None:
    """How long its solution took to run, everything in it; None where nothing valid says so.

    Of several devices, the longest.
    """
    found = [
        float(row.evidence[SECONDS])
        for rows in _valid(lesson).values()
        for row in rows
        if isinstance(row.evidence.get(SECONDS), int | float)
    ]
    return max(found, default=None)


def record(
    lesson: Lesson,
    *,
    device: str,
    seconds: float,
    versions: Mapping[str, str],
    path: Path | None = None,
    digest_of: DigestOf = code_digest,
) -> None:
    """Write down that the gate has passed a lesson; what it has said of it before is replaced.

    Args:
        lesson: The lesson.
        device: Where: ``cpu``, or the name of a device profile.
        seconds: How long all cells of the solved lesson took.
        versions: Versions of what computed, by name.
        path: The file, if not the shipped one.
        digest_of: Digest of the code of a check, from lesson and check.

    Raises:
        OSError: The file cannot be written.
    """
    path = path or file()
    base = Receipt(
        t=round(time.time()),
        lesson=lesson.id,
        digest=lesson.digest,
        check="",
        check_digest="",
        status="pass",
        evidence={SECONDS: round(seconds, 1)},
        versions=dict(versions),
        device=device,
    )
    new = [
        replace(base, check=check, check_digest=digest_of(lesson, check) or "")
        for check in lesson.checks
    ]
    with _lock(path.parent):  # gates of several lessons run at once
        kept = [
            row
            for row in receipts.read_from(path)
            if (row.lesson, row.device) != (lesson.id, device)
        ]
        rows = sorted([*kept, *new], key=lambda row: (row.lesson, row.device))
        atomic_write_text(path, "".join(to_json(_row(row)) + "\n" for row in rows))
    _read.cache_clear()


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _row(row: Receipt) -> dict[str, Any]:
    """A receipt without what is empty in it."""
    return {key: value for key, value in asdict(row).items() if value not in ({}, "")} | {
        "check_digest": row.check_digest
    }


def _valid(lesson: Lesson) -> dict[str, list[Receipt]]:
    """By device, the receipts of a lesson that are complete and about the lesson as it is."""
    by_device: dict[str, list[Receipt]] = {}
    for row in _rows():
        if row.lesson == lesson.id and row.digest == lesson.digest and row.status == "pass":
            by_device.setdefault(row.device, []).append(row)
    return {
        device: rows
        for device, rows in by_device.items()
        if {row.check: row.check_digest for row in rows}
        == {check: code_digest(lesson, check) for check in lesson.checks}
    }


def _rows() -> list[Receipt]:
    path = file()
    try:
        changed = path.stat().st_mtime_ns
    except OSError:
        return []
    return _read(path, changed)


@cache
def _read(path: Path, _changed: int) -> list[Receipt]:
    return receipts.read_from(path)
