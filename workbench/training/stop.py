"""Stop requests: the first signal asks politely, the second one means now."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType


class StopSignals:
    """SIGTERM and SIGINT set a flag that the loop reads between steps, and do nothing else."""

    def __init__(self) -> None:
        self.requested = False

    def install(self) -> StopSignals:
        """Listen from now on."""
        signal.signal(signal.SIGTERM, self._handle)
        signal.signal(signal.SIGINT, self._handle)
        return self

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self.requested:
            os._exit(128 + number)
        self.requested = True
