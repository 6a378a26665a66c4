"""Which keys of a config.json a family looks at."""

from __future__ import annotations

from typing import Any


class Watched(dict[str, Any]):
    """A config.json that remembers which of its keys were read."""

    def __init__(self, tree: dict[str, Any]) -> None:
        super().__init__(tree)
        self.read: set[str] = set()

    def __getitem__(self, key: str) -> Any:
        value = super().__getitem__(key)
        self.read.add(key)
        return value

    def get(self, key: str, default: Any = None) -> Any:
        """A value; asking counts as reading it, where it is there."""
        if key in self:
            self.read.add(key)
        return super().get(key, default)
