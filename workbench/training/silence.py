"""What all processes but the first one say: nothing."""

from __future__ import annotations

from typing import Any


class Silence:
    """Stands in for the `Reporter` and the checkpoints where nothing is to be written.

    Every method of theirs can be called and has no effect.
    """

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._nothing

    def _nothing(self, *_args: Any, **_kwargs: Any) -> None:
        return None
