"""What a run takes of this machine now: processor, memory, disk, and cards where there are any.

Read from /proc for the processes that carry the run's mark, and from NVIDIA's driver; nothing is
asked of the trainer. Sources: proc_pid_stat(5), proc_pid_io(5), proc_meminfo(5).
"""

from __future__ import annotations

import os
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from workbench import machine
from workbench.runs import process

if TYPE_CHECKING:
    from workbench.runs.directory import RunDir

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_KEPT: Final = 240
"""Samples: four minutes at one a second."""


class Sample(NamedTuple):
    """One look.

    Attributes:
        t: When, in seconds of a clock that only goes forward.
        processes: Processes of the run.
        cores: Cores that they keep busy; nan at the first look.
        memory: Their resident bytes; pages that they share count in each.
        read: Bytes a second that they read from disks; nan at the first look.
        written: Bytes a second that they write to disks; nan likewise.
        free_memory: Bytes that programs can still take on this machine; None where it is not said.
        free_disk: Free bytes where the run is kept.
        cards: Taken and all bytes of each NVIDIA card; empty without one.
    """

    t: float
    processes: int
    cores: float
    memory: int
    read: float
    written: float
    free_memory: int | None
    free_disk: int
    cards: tuple[tuple[str, int, int], ...] = ()


class Usage:
    """Looks at one run again and again, and keeps what it saw.

    Args:
        run: The run.
        proc: Where the kernel tells of processes.
    """

    def __init__(self, run: RunDir, proc: Path = Path("/proc")) -> None:
        self.run = run
        self.samples: deque[Sample] = deque(maxlen=_KEPT)
        self._proc = proc
        self._before: dict[int, tuple[float, int, int]] = {}  # CPU seconds, read, written by pid
        self._cards = True

    def sample(self) -> Sample:
        """Look now."""
        now = time.monotonic()
        counts: dict[int, tuple[float, int, int]] = {}
        memory = 0
        for pid in process.marked(self.run.path, self._proc):
            seconds, resident = self._stat(pid)
            counts[pid] = (seconds, *self._io(pid))
            memory += resident
        rates = self._rates(counts, now)
        disk = os.statvfs(self.run.path)
        seen = Sample(
            now,
            len(counts),
            rates[0],
            memory,
            rates[1],
            rates[2],
            machine.available_memory(),
            disk.f_bavail * disk.f_frsize,
            self._look_at_cards(),
        )
        self._before = counts
        self.samples.append(seen)
        return seen

    def _rates(
        self, counts: dict[int, tuple[float, int, int]], now: float
    ) -> tuple[float, float, float]:
        """Growth a second since the last look, of the processes that were there then too."""
        if not self.samples or now <= self.samples[-1].t:
            return float("nan"), float("nan"), float("nan")
        passed = now - self.samples[-1].t
        both = [pid for pid in counts if pid in self._before]
        grown = [
            sum(max(counts[pid][kind] - self._before[pid][kind], 0) for pid in both) / passed
            for kind in range(3)
        ]
        return grown[0], grown[1], grown[2]

    def _stat(self, pid: int) -> tuple[float, int]:
        """CPU seconds and resident bytes; zeros for a process that has just ended."""
        try:
            text = (self._proc / str(pid) / "stat").read_text()
        except OSError:
            return 0.0, 0
        fields = text.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS, int(fields[21]) * _PAGE

    def _io(self, pid: int) -> tuple[int, int]:
        """Bytes read from and written to disks; zeros where the kernel does not tell us."""
        try:
            lines = (self._proc / str(pid) / "io").read_text().splitlines()
        except OSError:
            return 0, 0
        told = {key: value for key, _, value in (line.partition(": ") for line in lines)}
        return int(told.get("read_bytes", 0)), int(told.get("write_bytes", 0))

    def _look_at_cards(self) -> tuple[tuple[str, int, int], ...]:
        if not self._cards:
            return ()
        from workbench.hardware import nvml

        try:
            found = nvml.cards()
        except nvml.NvmlError:
            self._cards = False  # there is no driver: it is not asked every second
            return ()
        return tuple((c.name, c.memory_bytes - c.free_bytes, c.memory_bytes) for c in found)
