"""The table of faults that stands in the folder of the course, made from the faults themselves."""

from __future__ import annotations

import sys
from typing import Final

from workbench.lessons.faults.registry import every

_HEAD: Final = """\
# What can be broken

`ava break FAULT` really produces one of these in a scratch folder, shows what one sees of it,
repairs it with commands that you could type, and proves the repair. This table is made from the
faults themselves; seconds are about those of two cores.

| fault | what happens | how you know it | what to do | seconds |
|---|---|---|---|---|
"""


def markdown() -> str:
    """The page."""
    rows = (
        f"| `{each.id}` | {each.what_happens} | {each.see} | {each.recover} | {each.seconds} |\n"
        for each in every()
    )
    return _HEAD + "".join(rows)


if __name__ == "__main__":
    sys.stdout.write(markdown())
