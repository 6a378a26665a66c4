"""Running the real `ava` in a scratch folder, and finding every process that comes of it."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from workbench.errors import WorkbenchError
from workbench.runs import process
from workbench.runs.control import import_path

if TYPE_CHECKING:
    from pathlib import Path

STATE: Final = "AVA_STATE_DIR"
TEMPORARY: Final = ".tmp"
COLUMNS: Final = 76
"""What is left of a terminal of 80 columns beside the margin of a report."""
_LIMIT_SECONDS: Final = 300.0


class NotAsSaidError(WorkbenchError):
    """The story cannot go on, because something did not happen."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit of the shell's ``ulimit``, on a command and all that comes of it.

    Attributes:
        option: Its letter: ``d`` memory that a process may write to, in KiB; ``f`` the size of a
            file, in units of 512 bytes, as POSIX has it.
        value: How much.
    """

    option: str
    value: int

    @property
    def text(self) -> str:
        """As it is typed."""
        return f"ulimit -{self.option} {self.value}"


def typed(line: str, limit: Limit | None = None) -> str:
    """A command as a person would type it."""
    return f"ava {line}" if limit is None else f"sh -c '{limit.text}; ava {line}'"


def start(
    folder: Path, line: str, limit: Limit | None = None, *, narration: bool = True
) -> subprocess.Popen[str]:
    """Start ``ava LINE`` in a folder; what it prints is for `finish`.

    Args:
        folder: Where.
        line: The command.
        limit: A limit on it.
        narration: Whether what goes to stderr is wanted too.
    """
    argv = [sys.executable, "-m", "workbench.cli", *shlex.split(line)]
    if limit is not None:
        argv = ["sh", "-c", f'{limit.text}; exec "$@"', "sh", *argv]
    return subprocess.Popen(
        argv,
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if narration else subprocess.DEVNULL,
        text=True,
        errors="replace",
        start_new_session=True,  # a Ctrl-C is for the lab, which then ends everything itself
    )


def finish(started: subprocess.Popen[str]) -> str:
    """Wait for the end of a command; returns what it printed.

    Raises:
        subprocess.TimeoutExpired: It does not end.
    """
    try:
        printed, _ = started.communicate(timeout=_LIMIT_SECONDS)
    except BaseException:
        started.kill()
        started.wait()
        raise
    return printed


def part_with(started: subprocess.Popen[str]) -> None:
    """Let go of a command, whether or not somebody has waited for it."""
    started.kill()
    started.wait()
    if started.stdout is not None:
        started.stdout.close()


def environment(folder: Path) -> dict[str, str]:
    """The environment of all that happens in a scratch folder.

    Its runs wait in a line of their own, so that they neither disturb nor wait for anybody else's;
    and the place of that line is the mark by which their processes are found again.
    """
    kept = {name: value for name, value in os.environ.items() if name != process.MARKER}
    return kept | {
        STATE: state(folder),
        "TMPDIR": str(folder / TEMPORARY),  # torch leaves a folder of its own there
        "PYTHONPATH": import_path(),
        "COLUMNS": str(COLUMNS),
        # The faults are those of a CPU, so that they are the same ones everywhere.
        "CUDA_VISIBLE_DEVICES": "",
        "NO_COLOR": "1",
    }


def state(folder: Path) -> str:
    """Where the runs of a scratch folder keep their line."""
    return str(folder / ".state")


def living(folder: Path) -> dict[int, int]:
    """All processes that come of commands in a scratch folder: pid and start ticks."""
    return process.carrying(STATE, state(folder))


def end_all(folder: Path) -> int:
    """End all of them at once; returns how many could not be ended."""
    for pid, ticks in living(folder).items():
        process.send_signal(pid, ticks, signal.SIGCONT)
    return process.end_all(lambda: living(folder), grace=0)[1]
