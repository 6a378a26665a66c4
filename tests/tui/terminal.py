"""A real terminal for tests and benchmarks: a program behind a pty, driven by bytes."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import pty
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from types import TracebackType

ROOT = Path(__file__).resolve().parents[2]
AVA_TUI = [sys.executable, "-m", "workbench.tui"]
_DEADLINE = 60.0
# What a terminal that the program has taken must get back.
RESTORED = (b"\x1b[?1049l", b"\x1b[?25h", b"\x1b[?1000l", b"\x1b[?1003l", b"\x1b[?2004l")


@cache
def state() -> Path:
    """The state of somebody who has seen the tour."""
    found = Path(tempfile.mkdtemp(prefix="ava-state-"))
    atexit.register(shutil.rmtree, found, ignore_errors=True)
    (found / "ava").mkdir()
    (found / "ava" / "toured").touch()
    return found


class Terminal:
    """A program in a terminal of its own; use as a context manager."""

    def __init__(
        self, argv: list[str], *, columns: int = 80, rows: int = 24, cwd: Path | None = None
    ) -> None:
        self.output = b""
        self.status: int | None = None
        self.cpu_seconds = 0.0
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.before = self.attributes()
        # setsid makes the terminal the program's own, as a fork in a threaded process must not.
        self._process = subprocess.Popen(
            ["setsid", "--ctty", *argv],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=cwd or ROOT,
            env=_environment(),
        )
        self.pid = self._process.pid
        os.close(slave)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            self.wait()
        with contextlib.suppress(OSError):
            os.close(self.master)

    def attributes(self) -> list[Any]:
        """The terminal's line settings."""
        return termios.tcgetattr(self.master)

    def send(self, data: bytes) -> None:
        """Type the bytes, reading on so that neither side blocks."""
        while data:
            _, writable, _ = select.select([], [self.master], [], 0.05)
            if writable:
                data = data[os.write(self.master, data[:1024]) :]
            self._read(0)

    def resize(self, columns: int, rows: int) -> None:
        """Change the size, as a window does."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def see(self, *words: bytes, since: int = 0) -> None:
        """Read until all of the words have been printed after byte ``since``."""
        deadline = time.monotonic() + _DEADLINE
        while not all(word in self.output[since:] for word in words):
            if not self._read(0.05) and self.ended():
                raise AssertionError(f"ended without {words}: {self.output[-3000:]!r}")
            if time.monotonic() > deadline:
                raise AssertionError(f"never printed {words}: {self.output[-3000:]!r}")

    def listen(self, seconds: float) -> None:
        """Read whatever comes in so much time."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._read(left)

    def quiet(self, seconds: float) -> None:
        """Read until nothing has come for so long."""
        end = time.monotonic() + _DEADLINE
        while self._read(seconds):
            assert time.monotonic() < end, f"never quiet: {self.output[-3000:]!r}"

    def _read(self, seconds: float) -> bool:
        readable, _, _ = select.select([self.master], [], [], seconds)
        if not readable:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:
            return False
        self.output += data
        return bool(data)

    def ended(self) -> bool:
        """Whether the program has ended."""
        if self.status is None:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                self._note(status, usage)
        return self.status is not None

    def _note(self, status: int, usage: Any) -> None:
        self.status = self._process.returncode = os.waitstatus_to_exitcode(status)
        self.cpu_seconds = usage.ru_utime + usage.ru_stime

    def wait(self) -> int:
        """Wait until the program has ended; returns its exit code, negative for a signal."""
        deadline = time.monotonic() + _DEADLINE
        while not self.ended():
            self._read(0.05)
            assert time.monotonic() < deadline, f"still there: {self.output[-3000:]!r}"
        while self._read(0):
            pass
        assert self.status is not None
        return self.status


def _environment() -> dict[str, str]:
    drop = ("NO_COLOR", "COLUMNS", "LINES", "TEXTUAL_THEME")
    return {key: value for key, value in os.environ.items() if key not in drop} | {
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
        "LANG": "C.UTF-8",
        "XDG_STATE_HOME": str(state()),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'kernels'}",
    }
