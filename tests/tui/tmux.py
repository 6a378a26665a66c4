"""`ava-tui` in a tmux server of its own: keys and clicks in, the screen as text out."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.tui.terminal import state

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]
THERE = shutil.which("tmux") is not None
_DEADLINE = 60.0
_NUMBERS = itertools.count()  # a server that is ending still owns its socket


def wait(true: Callable[[], bool], what: Callable[[], str], *, deadline: float = _DEADLINE) -> None:
    """Wait until something is true."""
    end = time.monotonic() + deadline
    while not true():
        if time.monotonic() > end:
            raise AssertionError(f"never saw {what()}")
        time.sleep(0.1)


class Tmux:
    """A terminal of a size; use as a context manager, or close it.

    Args:
        size: Columns and rows.
        folder: Current folder.
        arguments: Of `ava-tui`.
    """

    def __init__(self, size: tuple[int, int], folder: Path, arguments: list[str]) -> None:
        self._socket = f"ava-{os.getpid()}-{next(_NUMBERS)}"
        command = [
            *("env", "-u", "COLUMNS", "-u", "LINES", "-u", "NO_COLOR"),  # tmux says the size
            f"PYTHONPATH={ROOT}:{ROOT / 'kernels'}",
            "COLORTERM=truecolor",
            f"XDG_STATE_HOME={state()}",
            *(sys.executable, "-m", "workbench.tui", *arguments),
        ]
        place = ["-x", str(size[0]), "-y", str(size[1]), "-c", str(folder)]
        self._tmux("-f", "/dev/null", "new-session", "-d", *place, *command)
        self._tmux("set-option", "-g", "remain-on-exit", "on")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _tmux(self, *words: str) -> str:
        return subprocess.run(
            ["tmux", "-L", self._socket, *words], check=True, capture_output=True, text=True
        ).stdout

    def _ask(self, name: str) -> str:
        return self._tmux("display-message", "-p", f"#{{{name}}}").strip()

    @property
    def pid(self) -> int:
        """The process of `ava-tui`."""
        return int(self._ask("pane_pid"))

    @property
    def exit_code(self) -> int | None:
        """How it ended, negative for a signal; None while it runs."""
        if self._ask("pane_dead") != "1":
            return None
        if status := self._ask("pane_dead_status"):
            return int(status)
        if number := self._ask("pane_dead_signal"):
            return -int(number)
        # tmux 3.3 can miss the end of a child that ends while it is asked something, and reaps it
        # with the next one.
        self._tmux("run-shell", "true")
        return None if Path(f"/proc/{self.pid}").exists() else -signal.SIGKILL

    def press(self, *keys: str) -> None:
        """Press keys, by tmux' names."""
        for key in keys:
            self._tmux("send-keys", key)

    def type(self, text: str) -> None:
        """Type a text."""
        self._tmux("send-keys", "-l", text)

    def click(self, words: str, *, nth: int = 0) -> None:
        """Press and release the left button in the middle of words, the nth time they stand there.

        The sequences are those of a terminal that reports the mouse in SGR form (1006).
        """
        self.see(words)
        places = [
            (row, column)
            for row, line in enumerate(self.text().splitlines())
            for column in _all_places(line, words)
        ]
        row, column = places[nth]
        at = f"0;{column + 1 + len(words) // 2};{row + 1}"
        self._tmux("send-keys", "-l", f"\x1b[<{at}M\x1b[<{at}m")

    def picture(self) -> str:
        """What is on the screen, with colours."""
        return self._tmux("capture-pane", "-p", "-e", "-N")

    def text(self) -> str:
        """What is on the screen."""
        return self._tmux("capture-pane", "-p")

    def see(self, *words: str, deadline: float = _DEADLINE) -> str:
        """Wait until all of the words are on the screen; returns the screen."""
        wait(
            lambda: all(word in self.text() for word in words),
            lambda: f"{words} in\n{self.text()}",
            deadline=deadline,
        )
        return self.text()

    def gone(self, *words: str) -> None:
        """Wait until none of the words is on the screen."""
        wait(
            lambda: not any(word in self.text() for word in words),
            lambda: f"the end of {words} in\n{self.text()}",
        )

    def wait(self) -> int:
        """Wait for the end of `ava-tui`; returns its exit code."""
        wait(lambda: self.exit_code is not None, lambda: f"the end\n{self.text()}")
        code = self.exit_code
        assert code is not None
        return code

    def close(self) -> None:
        """End the server and what runs in it."""
        with contextlib.suppress(subprocess.CalledProcessError):
            self._tmux("kill-server")


def _all_places(line: str, words: str) -> list[int]:
    """Columns at which words begin; every character of these screens is one cell wide."""
    found, at = [], line.find(words)
    while at >= 0:
        found.append(at)
        at = line.find(words, at + 1)
    return found
