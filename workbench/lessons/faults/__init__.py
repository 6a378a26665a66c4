"""The fault lab: real disasters in a scratch folder, what one sees, and how each is repaired.

    from workbench.lessons import faults

    faults.all()                            # what can be broken
    faults.produce("flipped-bit", folder)   # breaks it, repairs it, and proves both

Everything is done with the real commands, trainer and supervisor, by processes that are gone in the
end; and every claim of a report was checked, not written down.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.lessons.faults.registry import Fault, every, find

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from workbench.lessons.faults.report import Report, Step

__all__ = ["Fault", "all", "find", "fresh", "produce"]


def all() -> list[Fault]:  # noqa: A001 - `faults.all()` is what it is called
    """All faults, in the order in which they are listed."""
    return every()


def fresh(folder: Path) -> Path:
    """The folder, or the first of FOLDER-2, FOLDER-3 … that nothing has been done in yet."""
    from workbench.lessons.faults.producing import in_folder

    names = (folder, *(folder.with_name(f"{folder.name}-{number}") for number in range(2, 100)))
    return next((name for name in names if in_folder(name)), folder)


def produce(
    id: str,  # noqa: A002 - the word of the interface
    folder: Path,
    *,
    tell: Callable[[Step], None] | None = None,
    begins: Callable[[str], None] | None = None,
    healthy: Path | None = None,
) -> Report:
    """Produce a fault in a folder, repair it, and report both.

    When it returns, or is interrupted, no process of it is left.

    Args:
        id: The fault.
        folder: Where everything happens; made when it is not there, and left as it is in the end.
        tell: Called with each step when it has been done.
        begins: Called with each command before it is run.
        healthy: A run that `Stage.healthy` made elsewhere, to be copied instead of trained again.

    Raises:
        UsageError: There is no such fault, or the folder holds something.
    """
    from workbench.lessons.faults.producing import produce as really_produce

    return really_produce(find(id), folder, tell=tell, begins=begins, healthy=healthy)
