"""What each file of a run directory is, read from the page that documents it (README.md)."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple


class Entry(NamedTuple):
    """One file or folder: its name, who writes it, what it is."""

    name: str
    writer: str
    text: str


def page() -> str:
    """The page on run directories."""
    return Path(__file__).with_name("README.md").read_text(encoding="utf-8")


@cache
def files() -> tuple[Entry, ...]:
    """Every file of a run directory, in the order of the page."""
    found = re.findall(r"^\| `([^`]+)` \| ([^|]+) \| (.+) \|$", page(), re.MULTILINE)
    return tuple(Entry(name, writer, text) for name, writer, text in found)
