"""When a failed attempt is followed by another one, and after what wait."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

BACK_OFF: Final = (1.0, 5.0, 25.0)
"""Seconds before the first, second and every later restart without progress."""

_CHECKPOINT: Final = re.compile(r"step-(\d{8,})", re.ASCII)


class Restarts:
    """Counts the restarts since there was progress, that is, since the last new checkpoint.

    Args:
        limit: Restarts without progress, at most; 0 never restarts.
        checkpoints: The folder of the run's checkpoints.
        back_off: Seconds before the first and each later restart without progress.
    """

    def __init__(self, limit: int, checkpoints: Path, back_off: Sequence[float] = BACK_OFF) -> None:
        self.limit = limit
        self._back_off = back_off
        self.count = 0
        self._checkpoints = checkpoints
        self._newest = newest_step(checkpoints)

    def after(self, end: Mapping[str, Any], failure: Mapping[str, Any]) -> float | None:
        """The seconds to wait before the next attempt; None when there is to be none.

        Args:
            end: What the attempt's exit.json says.
            failure: What the trainer said itself about its failure; empty when nothing.
        """
        if not worth_it(end, failure):
            return None
        newest = newest_step(self._checkpoints)
        if newest > self._newest:
            self._newest, self.count = newest, 0
        if self.count >= self.limit:
            return None
        self.count += 1
        return self._back_off[min(self.count, len(self._back_off)) - 1]


def worth_it(end: Mapping[str, Any], failure: Mapping[str, Any]) -> bool:
    """Whether another attempt may fare better.

    Not after an end that was asked for. Not after an error that the trainer understood, such as a
    wrong path, a loss that is not finite or memory that ran out: it would come again. Not when it
    ended by itself before it began to train, as with an import that fails.
    """
    if end.get("outcome") is not None or end.get("requested") or end.get("out_of_memory"):
        return False
    if failure.get("what"):
        return failure.get("unforeseen") is True and bool(end.get("began"))
    return end.get("signal") is not None or bool(end.get("began"))


def newest_step(checkpoints: Path) -> int:
    """The step of the newest checkpoint by name; -1 when there is none.

    A name is enough: a checkpoint gets it by the rename that completes it.
    """
    try:
        names = [path.name for path in checkpoints.iterdir()]
    except OSError:
        return -1
    return max(
        (int(match[1]) for name in names if (match := _CHECKPOINT.fullmatch(name))), default=-1
    )
