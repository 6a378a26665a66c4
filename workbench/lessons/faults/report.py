"""What came of a fault: its steps, in order, with what was seen word by word."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.lessons.faults.registry import Fault

Phase = Literal["break", "see", "why", "repair", "proof"]
Kind = Literal["says", "ran", "curve", "claim"]

HEADINGS: Final[dict[Phase, str]] = {
    "break": "What is done",
    "see": "What you see",
    "why": "Why",
    "repair": "The repair",
    "proof": "The proof",
}


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of a picture.

    Attributes:
        label: Its name.
        steps: Where its values are.
        values: The values; one that is not finite is a gap.
    """

    label: str
    steps: tuple[float, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was said, done, seen or checked.

    Attributes:
        phase: The part of the story that it belongs to.
        kind: ``says`` is prose; ``ran`` a command with what it printed; ``curve`` a picture;
            ``claim`` something that was checked.
        text: The prose, the claim, or the title of the picture.
        command: What was run, as a person would type it.
        output: What it printed; a line ``…`` stands for lines left out.
        exit_code: How it ended; None for what is no command.
        curves: The lines of the picture.
        holds: Whether the claim holds.
        found: What was found when it was checked.
    """

    phase: Phase
    kind: Kind
    text: str = ""
    command: str = ""
    output: str = ""
    exit_code: int | None = None
    curves: tuple[Curve, ...] = ()
    holds: bool | None = None
    found: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """A fault that was produced.

    Shown by itself in a notebook, and as text by ``str``.

    Attributes:
        fault: The fault.
        folder: Where it happened.
        steps: What was done and seen.
        seconds: How long it took.
    """

    fault: Fault
    folder: Path
    steps: tuple[Step, ...]
    seconds: float
    width: int = field(default=80, compare=False)

    @property
    def claims(self) -> list[Step]:
        """What was checked."""
        return [step for step in self.steps if step.kind == "claim"]

    @property
    def verified(self) -> bool:
        """Whether everything happened as said, the recovery included."""
        proved = any(step.phase == "proof" for step in self.claims)
        return proved and all(step.holds for step in self.claims)

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON-ready data."""
        return {
            "fault": self.fault.id,
            "title": self.fault.title,
            "what_happens": self.fault.what_happens,
            "see": self.fault.see,
            "recover": self.fault.recover,
            "folder": str(self.folder),
            "verified": self.verified,
            "seconds": round(self.seconds, 1),
            "steps": [_without_empty(asdict(step)) for step in self.steps],
        }

    def html(self) -> str:
        """The report as a piece of HTML that needs nothing from elsewhere."""
        from workbench.lessons.faults.html import page

        return page(self)

    def __str__(self) -> str:
        from workbench.lessons.faults.text import page

        return page(self, self.width)

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/plain": str(self), "text/html": self.html()}


def _without_empty(step: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in step.items() if value not in ("", None, ())}
