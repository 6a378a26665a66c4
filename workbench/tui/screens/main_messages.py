"""What threads tell the first screen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from workbench.errors import WorkbenchError
    from workbench.plan import Plan
    from workbench.tui.reader import Seen


@dataclass
class PlanMade(Message):
    """A recipe has been resolved, or could not be."""

    name: str
    made: Plan | WorkbenchError


@dataclass
class Judged(Message):
    """It is known whether this machine is enough for the recipes."""

    signs: dict[str, tuple[str, str]]


@dataclass
class Looked(Message):
    """A look at the runs has ended."""

    seen: Seen | None
    error: WorkbenchError | None = None


@dataclass
class Launched(Message):
    """A run has been started."""

    name: str


@dataclass
class Trouble(Message):
    """Something that the user asked for did not work."""

    error: WorkbenchError
