"""The last lines of a run's log, and then only those that have come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.notebook.messages import Message

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workbench.runs.follow import Follower

_LINES = 200
_BYTES = 1200  # of new lines in one message


class LogTail:
    """What of a log the views have been told."""

    def __init__(self) -> None:
        self._told: list[str] = []

    def whole(self, follower: Follower | None) -> Message:
        """The last lines as they are."""
        self._told = [] if follower is None else follower.log_tail(_LINES)
        return Message({"type": "log", "lines": self._told, "more": False})

    def news(self, follower: Follower | None) -> Iterable[Message]:
        """The lines that have come; of very many at once, the newest."""
        lines = [] if follower is None else follower.log_tail(_LINES)
        if lines == self._told:
            return
        known = overlap(self._told, lines)
        self._told, fresh = lines, lines[known:]
        while known and sum(map(len, fresh)) > _BYTES:
            fresh = fresh[1:]
        yield Message({"type": "log", "lines": fresh, "more": known > 0})


def overlap(old: list[str], new: list[str]) -> int:
    """How many lines the new tail of a log begins with that the old one ends with."""
    if not old:
        return 0
    for place in range(len(new), 0, -1):
        if new[place - 1] == old[-1] and new[:place][-20:] == old[-place:][-20:]:
            return place
    return 0
