"""Every exception as an error that can be shown: what, where, why, what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench import mistakes

if TYPE_CHECKING:
    from workbench.errors import WorkbenchError


def as_error(error: Exception) -> WorkbenchError:
    """The error itself when it is one of ours; else what is known about it."""
    return mistakes.as_error(error, "ava-tui")
