"""The appending half: metrics, events and logs that a crash or a full disk cannot garble.

One ``os.write`` to an O_APPEND descriptor per line: when it has returned, the line survives a kill
of this process. A line that the disk did not take waits in memory and is tried again with the next;
nothing here raises because of a disk. A file that ends in a torn line gets a newline first, so that
what follows is whole.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
import zlib
from collections import deque
from typing import TYPE_CHECKING, Any

from workbench.masking import Mask
from workbench.runs.files import encode, explain, to_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class LineWriter:
    """Appends whole lines to a file.

    Args:
        path: The file, made at the first line.
        backlog: Lines kept in memory while the disk takes none; more are lost.

    Attributes:
        lost: Lines dropped because the backlog was full.
        problem: Why the last write failed; None when all is well.
    """

    def __init__(self, path: Path, *, backlog: int = 100_000) -> None:
        self.path = path
        self.lost = 0
        self.problem: str | None = None
        self._waiting: deque[bytes] = deque()
        self._backlog = backlog
        self._descriptor: int | None = None
        self._torn = False
        self._closed = False
        self._lock = threading.Lock()

    @property
    def pending(self) -> int:
        """Lines that are not on disk yet."""
        return len(self._waiting)

    def append(self, line: bytes) -> None:
        """Append one line, given without its newline."""
        with self._lock:
            if self._closed or len(self._waiting) >= self._backlog:
                self.lost += 1
            else:
                self._waiting.append(line + b"\n")
            self._drain()

    def sync(self) -> None:
        """Write what is waiting and bring it to the disk itself: a power cut cannot take it."""
        with self._lock:
            self._drain()
            descriptor = self._descriptor
        if descriptor is not None:
            try:
                os.fdatasync(descriptor)
            except OSError as error:
                self.problem = explain(error)

    def close(self) -> None:
        """Write what is waiting, sync, and close. What cannot be written stays in `pending`."""
        if self._closed:
            return
        self.sync()
        with self._lock:
            self._closed = True
            if self._descriptor is not None:
                with contextlib.suppress(OSError):
                    os.close(self._descriptor)
            self._descriptor = None

    def _drain(self) -> None:
        try:
            while self._waiting and not self._closed:
                self._put(self._waiting[0])
                self._waiting.popleft()
                self.problem = None
        except OSError as error:
            self.problem = explain(error)

    def _put(self, line: bytes) -> None:
        if self._descriptor is None:
            self._descriptor = self._open()
        data = b"\n" + line if self._torn else line
        written = os.write(self._descriptor, data)
        self._torn = written < len(data)
        if self._torn:  # the disk had room for a part only: the line is written again, whole
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(self.path, flags, 0o600)
        size = os.fstat(descriptor).st_size
        self._torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        return descriptor


class MetricWriter(LineWriter):
    """Writes the metrics of one attempt: compact JSON, a tab, the JSON's CRC-32 in hex.

    A second thread brings the rows to the disk itself once a second, so that the training never
    waits for it and a power cut takes at most that second.
    """

    def __init__(self, path: Path, *, backlog: int = 100_000, sync_seconds: float = 1.0) -> None:
        super().__init__(path, backlog=backlog)
        self._synced = 0
        self._rows = 0
        self._closing = threading.Event()
        self._thread = threading.Thread(
            target=self._sync_regularly, args=(sync_seconds,), name="metrics-sync", daemon=True
        )
        self._thread.start()

    def write(self, row: Mapping[str, Any]) -> None:
        """Append one row: ``step`` and ``t`` (now, when left out) beside the metrics."""
        body = encode(to_json(row if "t" in row else {**row, "t": time.time()}))
        self.append(b"%s\t%08x" % (body, zlib.crc32(body)))
        self._rows += 1

    def close(self) -> None:
        """Write what is waiting, sync, and close."""
        self._closing.set()
        self._thread.join()
        super().close()

    def _sync_regularly(self, seconds: float) -> None:
        while not self._closing.wait(seconds):
            if self._synced != self._rows or self.pending:
                self._synced = self._rows
                self.sync()


class EventWriter(LineWriter):
    """Writes events, one JSON object per line, each on the disk before the call returns.

    Secrets of the environment are blotted out, whatever message they have got into.
    """

    def __init__(self, path: Path, *, backlog: int = 100_000) -> None:
        super().__init__(path, backlog=backlog)
        self._mask = Mask()

    def write(self, event: str, **facts: Any) -> None:
        """Append one event that happens now."""
        line = to_json({"t": time.time(), "event": event, **facts})
        self.append(encode(self._mask.text(line)))
        self.sync()


class LogWriter(LineWriter):
    """Writes a log that people read, without secrets of the environment."""

    def __init__(self, path: Path, *, backlog: int = 100_000) -> None:
        super().__init__(path, backlog=backlog)
        self._mask = Mask()

    def write(self, text: str) -> None:
        """Append text of one or more lines."""
        self.append(encode(self._mask.text(text.rstrip("\n"))))
