"""The lines of an estimate, and the moments that they exist at.

Every byte of a device's memory stands in a line with a name, a formula, a value and a source. The
peak is the largest of a few moments, each a set of lines; what a device needs is never the sum of
everything, for not everything exists at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

Category = Literal[
    "weights",
    "optimizer",
    "gradients",
    "activations",
    "temporaries",
    "communication",
    "inputs",
    "process",
]
"""What bytes are for; the order is that of a memory bar."""

Stream = Literal["compute", "gather", "reduce", "host"]
"""Which stream of a GPU allocates them: each has a pool of its own."""


# Neither of the two is frozen: an estimate makes dozens, and frozen ones take three times as long.
@dataclass(slots=True)
class Line:
    """Some bytes.

    Attributes:
        name: What they are.
        formula: How many, in symbols.
        bytes: How many.
        category: What they are for.
        source: Where the formula comes from.
        stream: Which stream allocates them.
    """

    name: str
    formula: str
    bytes: int
    category: Category
    source: str
    stream: Stream = "compute"

    def to_dict(self) -> dict[str, Any]:
        """The line as JSON-ready data."""
        return {
            "name": self.name,
            "formula": self.formula,
            "bytes": self.bytes,
            "category": self.category,
            "stream": self.stream,
            "source": self.source,
        }


@dataclass(slots=True)
class Moment:
    """A moment of a training step that can be the one with the most memory.

    Attributes:
        name: What happens then.
        bytes: What is allocated.
        explain: Makes its lines; called when somebody asks.
        gather: What of it the stream that fetches weights has allocated.
        reduce: What the stream that adds up gradients has allocated.
    """

    name: str
    bytes: int
    explain: Callable[[], list[Line]] = field(repr=False, compare=False)
    gather: int = 0
    reduce: int = 0

    def lines(self) -> list[Line]:
        """Everything that exists then, the largest first."""
        return sorted(self.explain(), key=lambda line: -line.bytes)

    def with_line(self, line: Line) -> Moment:
        """The same moment with one more line."""
        return replace(self, bytes=self.bytes + line.bytes, explain=lambda: [*self.explain(), line])

    def by_category(self) -> dict[str, int]:
        """Bytes of each category."""
        totals: dict[str, int] = {}
        for line in self.lines():
            totals[line.category] = totals.get(line.category, 0) + line.bytes
        return totals

    def to_dict(self) -> dict[str, Any]:
        """The moment with its lines, as JSON-ready data."""
        return {
            "name": self.name,
            "bytes": self.bytes,
            "lines": [line.to_dict() for line in self.lines()],
        }


def merged(lines: list[Line]) -> list[Line]:
    """The lines without those that take nothing; equal names are one line."""
    found: dict[tuple[str, str, str, str], Line] = {}
    for line in lines:
        if not line.bytes:
            continue
        key = (line.name, line.formula, line.category, line.stream)
        before = found.get(key)
        found[key] = (
            line
            if before is None
            else Line(*key[:2], before.bytes + line.bytes, line.category, line.source, line.stream)
        )
    return list(found.values())
