"""Where a value came from: the layer, the place in its file, and what it covered up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a file; line and column count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Origin:
    """The history of one value.

    Attributes:
        layer: Name of the layer that set it: ``gpu/tiny``, ``command line``, a file's path.
        value: What it set.
        file: The file, when there is one.
        mark: The place of the key in that file.
        shadowed: What earlier layers had said, oldest last.
        alias: The spelling that was used, when it was not the key's own.
    """

    layer: str
    value: Any
    file: str | None = None
    mark: Mark | None = None
    shadowed: tuple[Origin, ...] = ()
    alias: str | None = None

    def place(self) -> str:
        """``file:line``, or the layer's name when it is no file."""
        if self.file is None:
            return self.layer
        return f"{self.file}:{self.mark.line}" if self.mark else self.file

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data."""
        data: dict[str, Any] = {"layer": self.layer, "value": self.value}
        if self.file is not None:
            data["file"] = self.file
        if self.mark is not None:
            data["line"] = self.mark.line
            data["column"] = self.mark.column
        if self.alias is not None:
            data["alias"] = self.alias
        if self.shadowed:
            data["shadowed"] = [origin.to_dict() for origin in self.shadowed]
        return data
