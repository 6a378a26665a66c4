"""Reading a learner's notebook, which any number of programs may have written to."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from workbench.runs.files import read_bytes

if TYPE_CHECKING:
    from pathlib import Path

COPY: Final = "ava_copy"
"""Our key in the metadata of a learner's copy; it is no part of the lesson."""


Action = Literal["new", "unchanged", "updated", "foreign", "unreadable"]


@dataclass(frozen=True, slots=True)
class Prepared:
    """What was done with one notebook.

    Attributes:
        path: The notebook.
        action: ``new``; ``unchanged``; ``updated`` to a new version of the lesson; ``foreign``,
            a file of that name that we have not written, left alone; ``unreadable``, left alone.
        notes: What a person should know: edits that were kept, cells that have gone.
    """

    path: Path
    action: Action
    notes: tuple[str, ...] = ()


def read(path: Path) -> dict[str, Any]:
    """A notebook, its sources joined.

    Raises:
        OSError: There is none, or it cannot be read.
        ValueError: It is no notebook of format 4; says why.
    """
    try:
        data = json.loads(read_bytes(path))
    except (ValueError, RecursionError):
        raise ValueError("it is no JSON, so no notebook") from None
    if (reason := _why_none(data)) is not None:
        raise ValueError(reason)
    for cell in data["cells"]:
        cell["source"] = "".join(cell["source"])
        cell.setdefault("metadata", {})
    data.setdefault("metadata", {})
    notebook: dict[str, Any] = data
    return notebook


def read_notebook(path: Path) -> dict[str, Any] | None:
    """A notebook; None where there is none that can be read."""
    try:
        return read(path)
    except (OSError, ValueError):
        return None


def is_copy(data: object) -> bool:
    """Whether this is the metadata of a learner's copy."""
    return (
        isinstance(data, dict)
        and isinstance(data.get("version"), str)
        and isinstance(data.get("cells"), list)
        and all(
            isinstance(pair, list) and len(pair) == 2 and all(isinstance(x, str) for x in pair)
            for pair in data["cells"]
        )
    )


def _why_none(data: Any) -> str | None:
    """Why this is no notebook of format 4; None if it is one, as far as we use it."""
    if not isinstance(data, dict) or not isinstance(data.get("cells"), list):
        return "it has no cells, so it is no notebook"
    if data.get("nbformat") != 4:
        return f"it is a notebook of format {data.get('nbformat')!r}, not 4"
    if not isinstance(data.get("metadata", {}), dict):
        return "its metadata is no map"
    if not isinstance(data.get("nbformat_minor", 0), int):
        return "its format has no number"
    reasons = (_why_no_cell(cell) for cell in data["cells"])
    return next((f"cell {n} {why}" for n, why in enumerate(reasons, start=1) if why), None)


def _why_no_cell(cell: Any) -> str | None:
    source = cell.get("source") if isinstance(cell, dict) else None
    lines = source if isinstance(source, list) else [source]
    if not all(isinstance(line, str) for line in lines):
        return "has no text"
    if not isinstance(cell.get("cell_type"), str):
        return "has no type"
    if not isinstance(cell.get("id", ""), str):
        return "has an id that is no text"
    return None if isinstance(cell.get("metadata", {}), dict) else "has metadata that is no map"
