"""The supervisor: the small process that owns a run while it lives.

    python -m workbench.runs.supervise RUN_DIR

It holds the run's lock, starts one attempt of the trainer, obeys the commands in ``inbox/``, and
ends after the trainer: with all gone that the trainer has started, and ``exit.json`` written.
It imports no more than it needs, for it must start fast and outlive everything.

The stop ladder: SIGTERM, so that the trainer finishes the step, saves and exits; after the grace
period SIGTERM again, which means at once; then SIGKILL.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from workbench.errors import RunError, WorkbenchError
from workbench.runs import process
from workbench.runs.directory import SCHEMA, RunDir
from workbench.runs.files import (
    atomic_write_json,
    encode,
    explain,
    open_append,
    read_json,
    release,
    reserve,
    to_json,
)
from workbench.runs.writer import EventWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TRAINER: Final = (sys.executable, "-P", "-m", "workbench.training")
GRACE_SECONDS: Final = 30.0

_TICK_SECONDS: Final = 0.1
_AGAIN_SECONDS: Final = 5.0
_ENDING_SECONDS: Final = 10.0
_WATCHED: Final = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36


def main(
    run_dir: Path,
    *,
    command: Sequence[str] = TRAINER,
    grace: float = GRACE_SECONDS,
    report: Callable[[dict[str, Any]], None] = lambda _: None,
) -> int:
    """Supervise one attempt of a run, from start to end.

    Args:
        run_dir: The run.
        command: The trainer; ``RUN_DIR --attempt N`` is added.
        grace: Seconds that a stopped trainer has for finishing the step and saving.
        report: Called once: with ``{"pid": …}`` when the trainer has been started, or with
            ``{"error": …}`` when it cannot be.

    Returns:
        0 when there was an attempt, however it ended; 1 when there could be none.
    """
    os.umask(0o077)
    signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    try:
        supervisor = Supervisor(RunDir(run_dir), command, grace)
        supervisor.start()
    except WorkbenchError as error:
        report({"error": error.to_dict()})
        with contextlib.suppress(OSError):  # the disk with the log may be what is full
            sys.stderr.write(error.render() + "\n")
        return 1
    report({"pid": os.getpid()})
    supervisor.watch()
    return 0


class Supervisor:
    """One attempt: started by `start`, followed to its end by `watch`."""

    def __init__(self, run: RunDir, command: Sequence[str], grace: float) -> None:
        self.run = run
        self.command = command
        self.grace = grace
        self.attempt = 0
        self.requested: str | None = None
        self.forced = False
        self._lock: int | None = None
        self._events = EventWriter(run.events_path)
        self._trainer: subprocess.Popen[bytes] | None = None
        self._rungs: list[tuple[float, signal.Signals, bool]] = []

    def start(self) -> None:
        """Take the run and start its trainer.

        Raises:
            RunError: Somebody else has the run, or the disk or the system does not allow a start.
        """
        self._refuse_newer()
        folder = None
        try:
            self._take_lock()
            for name in ("stop", "kill"):  # commands to an earlier attempt that had ended
                (self.run.inbox / name).unlink(missing_ok=True)
            self.attempt = max(self.run.attempts(), default=0) + 1
            folder = self.run.attempt_dir(self.attempt)
            folder.mkdir()
            self._end_leftovers()
            # The last words must find room even when the training has filled the disk.
            reserve(folder / "exit.json", 4096)
            reserve(folder / "failure.json", 16384)
            self._start_trainer(folder)
        except BaseException as error:
            self._undo(folder)
            if not isinstance(error, OSError):
                raise
            raise RunError(
                f"the run {self.run.name} cannot be started",
                where=str(error.filename or self.run.path),
                why=explain(error),
                fix="put that right and start it again",
            ) from None

    def watch(self) -> None:
        """Obey and wait until the trainer has ended; then leave nothing behind but its end."""
        trainer = self._trainer
        assert trainer is not None
        try:
            while trainer.returncode is None:
                self._obey()
                self._climb()
                self._reap(trainer)
                if trainer.returncode is None:
                    self._wait()
        finally:
            self._finish(trainer)

    def _undo(self, folder: Path | None) -> None:
        """After a failed start, as if there had been none; before anybody hears of it."""
        from shutil import rmtree

        if folder is not None:
            rmtree(folder, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)

    def _refuse_newer(self) -> None:
        schema = self.run.meta().get("schema")
        if schema != SCHEMA:
            raise RunError(
                f"{self.run.name} was made by another version of the workbench",
                where=str(self.run.meta_path),
                why=f"its schema is {schema}, this version writes {SCHEMA}",
                fix="it can be read and watched; to train it on, install the version that made it",
            )

    def _take_lock(self) -> None:
        self._lock = process.try_lock(self.run.lock_path)
        if self._lock is None:
            holder = read_json(self.run.lock_path)
            raise RunError(
                f"{self.run.name} is running already",
                where=str(self.run.path),
                why=f"its supervisor is pid {holder['pid']}" if "pid" in holder else None,
                fix=f"ava runs watch {self.run.name}\nava runs stop {self.run.name}",
            )
        identity = process.identify(os.getpid())
        assert identity is not None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, encode(to_json(identity.to_dict()) + "\n"), 0)

    def _end_leftovers(self) -> None:
        """End what an earlier supervisor could not, because it was killed.

        Its trainer got SIGTERM at that moment and may be saving: it is given time and no second
        signal, which would cut the save short.
        """
        trainer = self.run.trainer(self.attempt - 1)
        deadline = time.monotonic() + _ENDING_SECONDS
        while trainer and process.is_alive(trainer) and time.monotonic() < deadline:
            time.sleep(0.05)
        ended, left = process.end_all(lambda: process.marked(self.run.path), grace=1.0)
        if left:
            raise RunError(
                f"processes of an earlier attempt of {self.run.name} cannot be ended",
                where=", ".join(f"pid {pid}" for pid in process.marked(self.run.path)),
                fix="end them, or restart the machine",
            )
        if ended:
            self._events.write("leftovers_ended", attempt=self.attempt, count=ended)

    def _start_trainer(self, folder: Path) -> None:
        first = read_json(self.run.attempt_dir(1) / "cmd.json").get("cwd")
        # A resumed run finds its relative paths where it found them at first.
        cwd = first if isinstance(first, str) and Path(first).is_dir() else str(Path.cwd())
        argv = [*self.command, str(self.run.path), "--attempt", str(self.attempt)]
        atomic_write_json(folder / "cmd.json", {"argv": argv, "cwd": cwd, "t": time.time()})
        parent = os.getpid()
        prctl = _prctl()
        prctl(_PR_SET_CHILD_SUBREAPER, 1)

        def in_child() -> None:
            prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:  # the supervisor died before the line above
                os._exit(128 + signal.SIGTERM)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)

        with open_append(folder / "out.log") as output:
            self._trainer = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env={**os.environ, process.MARKER: process.marker(self.run.path)},
                preexec_fn=in_child,  # noqa: PLW1509 - no threads here to deadlock with
            )
        identity = process.identify(self._trainer.pid)
        facts = identity.to_dict() if identity else {"pid": self._trainer.pid}
        self._events.write("attempt", attempt=self.attempt, supervisor=parent, **facts)

    def _obey(self) -> None:
        """Read the inbox and begin to climb the stop ladder if it says so."""
        if self._take("kill"):
            self._kill()
        elif self._take("stop") and self.requested is None:
            self._stop()

    def _take(self, name: str) -> bool:
        command = self.run.inbox / name
        if not os.path.lexists(command):
            return False
        with contextlib.suppress(OSError):
            command.unlink()
        return True

    def _stop(self) -> None:
        self.requested = "stop"
        self._events.write("stop_requested", attempt=self.attempt, now=False)
        now = time.monotonic()
        self._rungs = [
            (now, signal.SIGTERM, False),
            (now + self.grace, signal.SIGTERM, True),
            (now + self.grace + _AGAIN_SECONDS, signal.SIGKILL, True),
        ]

    def _kill(self) -> None:
        if self.requested != "kill":
            self.requested = "kill"
            self._events.write("stop_requested", attempt=self.attempt, now=True)
            self._rungs = [(time.monotonic(), signal.SIGKILL, True)]

    def _climb(self) -> None:
        assert self._trainer is not None
        while self._rungs and time.monotonic() >= self._rungs[0][0]:
            _, number, self.forced = self._rungs.pop(0)
            os.kill(self._trainer.pid, number)  # not reaped yet: this pid is still our child's

    def _reap(self, trainer: subprocess.Popen[bytes]) -> None:
        """Collect ended children: the trainer, and orphans that this process has adopted."""
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == trainer.pid:
                    trainer.returncode = os.waitstatus_to_exitcode(ended[1])

    def _wait(self) -> None:
        """Sleep until a child ends, at most until the next look into the inbox."""
        received = signal.sigtimedwait(_WATCHED, _TICK_SECONDS)
        if received and received.si_signo in (signal.SIGTERM, signal.SIGINT):
            # The machine shuts down, or somebody kills the supervisor politely.
            if self.requested is None:
                self._stop()
            else:
                self._kill()

    def _finish(self, trainer: subprocess.Popen[bytes]) -> None:
        def left() -> dict[int, int]:
            self._reap(trainer)
            return process.marked(self.run.path) | process.descendants(os.getpid())

        # An error in `watch` itself leaves the trainer running: it counts among those left.
        ended, surviving = process.end_all(left, grace=0.0 if self.requested == "kill" else 2.0)
        status = trainer.returncode
        end = {
            "code": status if status is not None and status >= 0 else None,
            "signal": -status if status is not None and status < 0 else None,
            "t": time.time(),
            "requested": self.requested,
            "forced": self.forced,
            "leftovers": ended,
            "surviving": surviving,
        }
        folder = self.run.attempt_dir(self.attempt)
        with contextlib.suppress(OSError):
            atomic_write_json(folder / "exit.json", end)
        release(folder / "exit.json")
        release(folder / "failure.json")
        self._events.write("exited", attempt=self.attempt, **end)
        self._events.close()


def _prctl() -> Callable[[int, int], int]:
    import ctypes

    function: Callable[[int, int], int] = ctypes.CDLL(None).prctl
    return function


def _command_line(args: list[str]) -> int:
    """Used by `workbench.runs.control.start`; a person needs no more than RUN_DIR."""
    import argparse

    own = args[: args.index("--")] if "--" in args else args
    parser = argparse.ArgumentParser(
        prog="python -m workbench.runs.supervise",
        usage="%(prog)s [--grace SECONDS] [--detach FD] RUN_DIR [-- TRAINER …]",
    )
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--grace", type=float, default=GRACE_SECONDS)
    parser.add_argument("--detach", type=int, metavar="FD")
    options = parser.parse_args(own)
    command = args[len(own) + 1 :] or TRAINER
    if options.detach is None:
        return main(options.run_dir, command=command, grace=options.grace)
    if os.fork():
        os._exit(0)  # whoever started this can wait for it now, and keeps no zombie

    def report(message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # the face may have died meanwhile: the run goes on
            os.write(options.detach, encode(to_json(message)))
        os.close(options.detach)

    return main(options.run_dir, command=command, grace=options.grace, report=report)


if __name__ == "__main__":
    sys.exit(_command_line(sys.argv[1:]))
