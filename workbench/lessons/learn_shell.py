"""Running a command from a cell: the real one, in the workspace, its output as it comes."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from workbench.errors import UsageError


@dataclass(frozen=True)
class Ran:
    """A command that was run.

    Attributes:
        command: As it was given.
        code: Its exit code.
        output: What it printed, both streams in their order.
    """

    command: str
    code: int
    output: str

    def _ipython_display_(self) -> None:
        """Nothing: what it printed stands there already."""


def run(command: str, folder: Path) -> Ran:
    """Run a command in a folder, and print what it prints.

    Args:
        command: A program with its arguments; no pipes, no variables. ``ava`` is ours.
        folder: Where.

    Raises:
        UsageError: There is no such program, or the command needs a shell.
    """
    words = _words(command)
    argv = [sys.executable, "-P", "-m", "workbench.cli", *words[1:]] if words[0] == "ava" else words
    try:
        process = subprocess.Popen(
            argv,
            cwd=folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as error:
        raise UsageError(f"{words[0]} cannot be run", why=error.strerror or str(error)) from None
    printed = []
    with process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                printed.append(line)
                sys.stdout.write(line)
                sys.stdout.flush()
            code = process.wait()
        except KeyboardInterrupt:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT)
            code = process.wait()
            sys.stdout.write("interrupted\n")
    if code:
        sys.stdout.write(f"exit code {code}\n")
    return Ran(command, code, "".join(printed))


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"{command!r} is no command: {error}") from None
    if not words:
        raise UsageError("there is no command", fix='learn.shell("ava runs")')
    if odd := next((word for word in words if word in ("|", ">", ">>", "<", "&&", ";", "&")), None):
        raise UsageError(
            f"{odd!r} needs a shell, and this runs one program",
            fix="one command at a time, or a terminal",
        )
    return words


def _environment() -> dict[str, str]:
    """Ours, with the packages of this process, and a width that fits a cell."""
    kept = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    root = Path(__file__).resolve().parents[2]
    if root.name not in ("site-packages", "dist-packages"):
        places = [str(root), str(root / "kernels"), *filter(None, [kept.get("PYTHONPATH")])]
        kept["PYTHONPATH"] = os.pathsep.join(places)
    return kept | {"COLUMNS": "96", "PYTHONUNBUFFERED": "1", "TERM": "dumb"}
