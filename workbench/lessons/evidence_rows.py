"""The rows that a run has written, read as evidence: nothing is skipped, nothing is merged away.

`workbench.runs.follow` reads for people and is lenient: a damaged line is left out, and the newer
of two rows for one step counts. Here each of that is a reason for doubt.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.runs.files import read_bytes
from workbench.runs.follow import parse_rows

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.runs.directory import RunDir

_READ_LIMIT = 64 * 2**20


class Rows(NamedTuple):
    """The rows with a loss, each step once: a resumed attempt replaces what came after its start.

    Attributes:
        rows: In the order of their steps.
        problem: What is wrong with the files, or with the steps of an attempt; empty if nothing.
    """

    rows: list[dict[str, Any]]
    problem: str


def read_rows(run: RunDir) -> Rows:
    """Read all metrics of a run."""
    merged: list[dict[str, Any]] = []
    for attempt in run.attempts():
        path = run.metrics_path(attempt)
        if not path.exists():
            continue
        rows, problem = _rows_of(path)
        if rows and not problem:
            merged = [row for row in merged if row["step"] < rows[0]["step"]] + rows
        if problem:
            return Rows(merged, problem)
    return Rows(merged, "")


def _rows_of(path: Path) -> Rows:
    """The rows with a loss of one attempt."""
    try:
        data = read_bytes(path, limit=_READ_LIMIT)
    except OSError as error:
        return Rows([], f"its metrics cannot be read: {error.strerror}")
    rows: list[dict[str, Any]] = []
    # What stands behind the last newline is what a killed trainer has left of a row: no error.
    for number, line in enumerate(data.split(b"\n")[:-1], start=1):
        place = f"line {number} of {path.parent.name}/{path.name}"
        if b"\t" not in line:
            return Rows(rows, f"{place} has no checksum, which every row of a trainer has")
        parsed = parse_rows([line])
        if not parsed:
            return Rows(rows, f"{place} is not as the trainer wrote it: its checksum is wrong")
        rows += [row for row in parsed if "loss" in row]
    for before, after in pairwise(rows):
        if after["step"] <= before["step"]:
            there = f"step {after['step']} comes after step {before['step']}"
            return Rows(rows, f"{there}: a step twice")
    return Rows(rows, "")
