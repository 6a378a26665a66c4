"""The heartbeat: what a supervisor knows about progress, told in a clock that nobody can set.

Whether a run stalls is a matter of how long nothing has come. Times of files are of the wall clock,
which jumps: by a day when somebody corrects it, by an hour where it follows the sun. So the
supervisor looks whether the run's files grow and notes when they last did in CLOCK_BOOTTIME, which
every process of this boot reads the same.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from workbench.runs import process
from workbench.runs.files import encode, read_json, to_json

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.runs.directory import RunDir

BEAT_SECONDS: Final = 5.0
_FRESH_BEATS: Final = 4


def signs_of_life(run: RunDir, attempt: int) -> tuple[Path, ...]:
    """The files that grow while a trainer works."""
    return (
        run.metrics_path(attempt),
        run.attempt_events_path(attempt),
        run.output_path(attempt),
        run.log_path,
    )


@dataclass(frozen=True, slots=True)
class Beat:
    """One look of the supervisor at its run.

    Attributes:
        t: When, by the wall clock.
        now: When, in seconds since the boot.
        moved: When something last came from the trainer, in seconds since the boot.
        boot_id: Of which boot.
        attempt: Which attempt.
    """

    t: float
    now: float
    moved: float
    boot_id: str
    attempt: int

    def quiet(self) -> float | None:
        """Seconds since something came; None when this heart no longer beats here."""
        if self.boot_id != process.boot_id():
            return None
        now = boottime()
        if now - self.now > _FRESH_BEATS * BEAT_SECONDS:
            return None  # the supervisor itself does not get to run
        return now - self.moved


class Heart:
    """The supervisor's side: looks at the files and beats."""

    def __init__(self, run: RunDir, attempt: int) -> None:
        self._run = run
        self._attempt = attempt
        self._boot_id = process.boot_id()
        self._sizes: tuple[int, ...] = ()
        self._moved = boottime()
        self._beaten = float("-inf")

    def look(self) -> None:
        """Note whether something has come, and beat when it is time."""
        now = boottime()
        sizes = tuple(map(_size, signs_of_life(self._run, self._attempt)))
        if sizes != self._sizes:
            self._sizes, self._moved = sizes, now
        if now - self._beaten >= BEAT_SECONDS:
            self._beaten = now
            self._beat(now)

    def _beat(self, now: float) -> None:
        beat = {
            "t": time.time(),
            "now": now,
            "moved": self._moved,
            "boot_id": self._boot_id,
            "attempt": self._attempt,
        }
        path = self._run.heartbeat_path
        temporary = path.with_name(".tmp-heartbeat")
        # Whole or not at all, but not synced: after a power cut its boot is over anyway.
        with contextlib.suppress(OSError):
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
            descriptor = os.open(temporary, flags, 0o600)
            try:
                os.write(descriptor, encode(to_json(beat)))
            finally:
                os.close(descriptor)
            temporary.replace(path)


def last_beat(run: RunDir) -> Beat | None:
    """The newest heartbeat; None when there is none."""
    facts = read_json(run.heartbeat_path)
    try:
        return Beat(
            float(facts["t"]),
            float(facts["now"]),
            float(facts["moved"]),
            str(facts["boot_id"]),
            int(facts["attempt"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def boottime() -> float:
    """Seconds since the machine was started, sleep included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
