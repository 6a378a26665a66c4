"""Blot secrets out of what a trainer prints, in place, while it prints.

The trainer writes straight to a file, so that nobody's death can take its voice. What it must not
say is overwritten a moment later with as many asterisks: appended bytes never move, so that the
writer and every reader's offset stay right.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

from workbench.masking import LONGEST, Mask

if TYPE_CHECKING:
    from pathlib import Path

_CHUNK: Final = 4 * 2**20


class Scrubber:
    """Looks through a growing file once.

    Args:
        path: The file.
        mask: What is blotted out.
    """

    def __init__(self, path: Path, mask: Mask) -> None:
        self.path = path
        self._mask = mask
        self._seen = 0

    def scrub(self) -> None:
        """Look through what has come since the last time."""
        with contextlib.suppress(OSError):  # deleted, or a disk in trouble: the run goes on
            if self.path.stat().st_size <= self._seen:
                return
            descriptor = os.open(self.path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                self._look(descriptor)
            finally:
                os.close(descriptor)

    def _look(self, descriptor: int) -> None:
        while True:
            start = max(0, self._seen - LONGEST)
            data = os.pread(descriptor, _CHUNK, start)
            end = start + len(data)
            if end <= self._seen:
                return
            for first, last in self._mask.places(data):
                os.pwrite(descriptor, b"*" * (last - first), start + first)
            self._seen = end
