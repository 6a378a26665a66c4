"""What short runs have measured on this machine: one line each, in the user's state directory.

``$XDG_STATE_HOME/ava/measured.jsonl``; a home directory may be shared, so each row names its
machine. Rows are written by one call and read leniently: a torn line is no error.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from workbench import machine
from workbench.errors import RunError
from workbench.runs.files import explain, parse_line, tail_bytes

_MOST = 4 * 2**20  # bytes that are read: the last ten thousand rows or so


def path() -> Path:
    """Where the rows are."""
    home = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")  # noqa: PTH111
    return Path(home) / "ava" / "measured.jsonl"


def this_machine(devices: tuple[str, ...] = ()) -> str:
    """What a row is filed under: the processor, its cores, and the accelerators by name."""
    return " · ".join((machine.cpu_model(), f"{machine.cores()} cores", *devices))


def history(name: str | None = None) -> list[dict[str, Any]]:
    """The rows of a machine, oldest first; of all machines without a name."""
    rows = [parse_line(line) for line in tail_bytes(path(), _MOST)]
    return [row for row in rows if row and (name is None or row.get("machine") == name)]


def remember(row: dict[str, Any]) -> Path:
    """Add a row.

    Raises:
        RunError: It cannot be written.
    """
    place = path()
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)
    except OSError as error:
        raise RunError(
            "what was measured cannot be kept", where=str(place), why=explain(error)
        ) from None
    return place
