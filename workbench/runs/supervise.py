"""The supervisor: the small process that owns a run while it lives.

    python -m workbench.runs.supervise RUN_DIR

It holds the run's lock; waits in the machine's line when the run is queued; starts attempts of the
trainer, obeys the commands in ``inbox/``, restarts what failed as often as the config allows; and
ends with all gone that it has started, and ``exit.json`` written. It imports no more than it needs,
for it must start fast and outlive everything.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from workbench.errors import RunError, WorkbenchError
from workbench.masking import Mask
from workbench.runs import process
from workbench.runs.attempt import WATCHED, Attempt, working_folder
from workbench.runs.directory import SCHEMA, RunDir
from workbench.runs.files import (
    atomic_write_json,
    atomic_write_text,
    encode,
    explain,
    read_json,
    to_json,
)
from workbench.runs.launcher import launch_plan
from workbench.runs.queue import Line, devices_of
from workbench.runs.restarts import BACK_OFF, Restarts
from workbench.runs.writer import EventWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

GRACE_SECONDS: Final = 30.0
REQUESTS: Final = ("kill", "stop", "pause")
"""Commands that may lie in the inbox, the most urgent first."""

_TICK_SECONDS: Final = 0.1
_TURN_SECONDS: Final = 0.5
_ENDING_SECONDS: Final = 10.0
_LONG_BYTES: Final = 2 * 2**20
"""Bytes of metrics from which on columns are kept: below, reading takes less than 0.1 s of CPU."""


def main(
    run_dir: Path,
    *,
    command: Sequence[str] | None = None,
    grace: float = GRACE_SECONDS,
    back_off: Sequence[float] = BACK_OFF,
    queue: bool | None = None,
    changes: Path | None = None,
    report: Callable[[dict[str, Any]], None] = lambda _: None,
) -> int:
    """Supervise a run, from its turn in the line to the end of its last attempt.

    Args:
        run_dir: The run.
        command: Another trainer; ``RUN_DIR --attempt N`` is added.
        grace: Seconds that a stopped trainer has for finishing the step and saving.
        back_off: Seconds before the first and each later restart without progress.
        queue: Whether to wait until the devices are free; None does as the config says.
        changes: A file with a changed config, to be taken over first; see `control.start`.
        report: Called once: with ``{"pid": …}`` when the trainer has been started or the run
            queued, or with ``{"error": …}`` when neither can be.

    Returns:
        0 when there was an attempt, however it ended; 1 when there could be none.
    """
    os.umask(0o077)
    signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
    try:
        supervisor = Supervisor(RunDir(run_dir), command, grace, back_off)
        supervisor.start(queue=queue, changes=changes)
    except WorkbenchError as error:
        report({"error": error.to_dict()})
        with contextlib.suppress(OSError):  # the disk with the log may be what is full
            sys.stderr.write(Mask().text(error.render()) + "\n")
        return 1
    report({"pid": os.getpid()})
    supervisor.watch()
    return 0


class Supervisor:
    """One run: taken and begun by `start`, followed to its end by `watch`."""

    def __init__(
        self,
        run: RunDir,
        command: Sequence[str] | None,
        grace: float,
        back_off: Sequence[float] = BACK_OFF,
    ) -> None:
        self.run = run
        self.command = command
        self.grace = grace
        self.back_off = back_off
        self.attempt: Attempt | None = None
        self._lock: int | None = None
        self._line: Line | None = None
        self._config: dict[str, Any] = {}
        self._events = EventWriter(run.events_path)

    def start(self, *, queue: bool | None = None, changes: Path | None = None) -> None:
        """Take the run, and start its trainer or wait for a turn.

        Raises:
            WorkbenchError: Somebody else has the run, or the config, the disk or the system does
                not allow a start.
        """
        self._refuse_newer()
        try:
            self._take_lock()
            for name in REQUESTS:  # commands to an earlier attempt that had ended
                (self.run.inbox / name).unlink(missing_ok=True)
            if changes is not None:
                self._take_over(changes)
            self._config = read_json(self.run.config_path).get("config") or {}
            if self._joined_line(wanted=queue):
                self._begin()
        except BaseException as error:
            self._let_go()
            if not isinstance(error, OSError):
                raise
            raise RunError(
                f"the run {self.run.name} cannot be started",
                where=str(error.filename or self.run.path),
                why=explain(error),
                fix="put that right and start it again",
            ) from None

    def watch(self) -> None:
        """Wait for the turn, then for one attempt after another; leave nothing but their ends."""
        try:
            if self.attempt is None and not self._wait_for_turn():
                return
            limit, checkpoints = _limit(self._config), self.run.checkpoints_dir
            restarts = Restarts(limit, checkpoints, self.back_off)
            while self.attempt is not None:
                end = self._follow(self.attempt)
                pause = restarts.after(end, self.attempt.failure())
                if pause is None:
                    self.attempt.conclude(end)
                    self._events.write("exited", attempt=self.attempt.number, **end)
                    return
                again = {"in_seconds": pause, "number": restarts.count, "of": restarts.limit}
                self._restart_after(self.attempt, end, again)
        finally:
            self._let_go()

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

    def _take_over(self, changes: Path) -> None:
        """Put a changed config in place of the old one, and write down what was changed."""
        told = read_json(changes)
        changes.unlink(missing_ok=True)
        if not isinstance(told.get("config"), dict):
            raise RunError("the changed config cannot be read", where=str(changes))
        resolved = {"schema": SCHEMA, "config": told["config"], "origins": told.get("origins", {})}
        atomic_write_json(self.run.config_path, resolved, masked=False)
        atomic_write_text(self.run.path / "config.yaml", str(told.get("yaml", "")))
        self._events.write("config_changed", changes=told.get("changes", {}))

    def _joined_line(self, *, wanted: bool | None) -> bool:
        """Take a place in the machine's line; returns whether it is our turn at once."""
        asked = self._config.get("run")
        queued = wanted if wanted is not None else _is_queued(asked)
        line = Line(self.run.path, devices_of(self._config, os.environ))
        try:
            line.join(running=not queued)
        except OSError:
            # Without a home there is no line. That is no reason not to train, but one not to wait.
            line.leave()
            if queued:
                raise
            return True
        self._line = line
        if not queued or line.my_turn():
            return True
        self._events.write("queued", pid=os.getpid())
        return False

    def _wait_for_turn(self) -> bool:
        """Wait until the devices are free, and start; False when that has come to nothing."""
        assert self._line is not None
        looked = float("-inf")
        while True:
            if request := self._request():
                self._events.write("unqueued", request=request)
                return False
            if time.monotonic() - looked >= _TURN_SECONDS:
                looked = time.monotonic()
                with contextlib.suppress(OSError):  # a full disk, a busy lock: look again
                    if self._line.my_turn():
                        return self._try_to_begin("start_failed") is None
            self._wait()

    def _begin(self) -> None:
        """Start the next attempt.

        Raises:
            WorkbenchError: The config or what an earlier attempt has left does not allow it.
            OSError: The disk or the system does not.
        """
        number = max(self.run.attempts(), default=0) + 1
        plan = launch_plan(self.run, self._config, number, command=self.command)
        attempt = Attempt(self.run, number, plan, self._events, self.grace)
        attempt.start(working_folder(self.run), lambda: self._end_leftovers(number))
        self.attempt = attempt

    def _try_to_begin(self, event: str) -> dict[str, Any] | None:
        """Start the next attempt when nobody is left to hear an error but the run's own files.

        Returns:
            The error; None when all went well.
        """
        try:
            self._begin()
        except (WorkbenchError, OSError) as error:
            told = (
                error
                if isinstance(error, WorkbenchError)
                else RunError(
                    f"the run {self.run.name} cannot be started",
                    where=str(error.filename or self.run.path),
                    why=explain(error),
                )
            )
            self._events.write(event, error=told.to_dict())
            return told.to_dict()
        return None

    def _end_leftovers(self, number: int) -> None:
        """End what an earlier supervisor could not, because it was killed.

        Its trainer got SIGTERM at that moment and may be saving: it is given time and no second
        signal, which would cut the save short.
        """
        trainer = self.run.trainer(number - 1)
        deadline = time.monotonic() + min(self.grace, _ENDING_SECONDS)
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
            self._events.write("leftovers_ended", attempt=number, count=ended)

    def _follow(self, attempt: Attempt) -> dict[str, Any]:
        """Obey and wait until the trainer has ended; clear away what it leaves."""
        try:
            while not attempt.over:
                if request := self._request():
                    attempt.ask(request)
                attempt.tend()
                if not attempt.over:
                    self._wait(attempt)
        except BaseException:
            attempt.conclude(attempt.finish())
            raise
        return attempt.finish()

    def _restart_after(self, attempt: Attempt, end: dict[str, Any], again: dict[str, Any]) -> None:
        """Wait a little and start the next attempt, unless a request comes in between."""
        attempt.conclude(end | {"restart": again})
        self._events.write("exited", attempt=attempt.number, **end, restart=again)
        self.attempt = None
        deadline = time.monotonic() + again["in_seconds"]
        while time.monotonic() < deadline:
            if request := self._request():
                attempt.conclude(end | {"given_up": request})
                self._events.write(
                    "stop_requested", attempt=attempt.number, now=True, request=request
                )
                return
            self._wait()
        if error := self._try_to_begin("restart_failed"):
            attempt.conclude(end | {"not_restarted": error["what"]})

    def _request(self) -> str | None:
        """The most urgent command in the inbox, taken out of it."""
        found = None
        for name in REQUESTS:
            command = self.run.inbox / name
            if os.path.lexists(command):
                with contextlib.suppress(OSError):
                    command.unlink()
                found = found or name
        return found or self._signalled()

    def _signalled(self) -> str | None:
        """A request made by a signal: the machine shuts down, or somebody kills us politely."""
        received = signal.sigtimedwait((signal.SIGTERM, signal.SIGINT), 0)
        if received is None:
            return None
        return "stop" if self.attempt is None or self.attempt.requested is None else "kill"

    def _wait(self, attempt: Attempt | None = None) -> None:
        """Sleep until a child ends or a signal comes, at most until the next look around."""
        received = signal.sigtimedwait(WATCHED, _TICK_SECONDS)
        if received is not None and received.si_signo in (signal.SIGTERM, signal.SIGINT):
            # Taken here, so put back for `_request`, which is asked next in every loop.
            os.kill(os.getpid(), received.si_signo)
        if attempt is None:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(-1, os.WNOHANG)  # an adopted orphan of the last attempt

    def _let_go(self) -> None:
        if self._line is not None:
            self._line.leave()
        self._events.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _limit(config: dict[str, Any]) -> int:
    """Restarts without progress that the config allows; a run of an older version has none."""
    section = config.get("run")
    limit = section.get("max_restarts") if isinstance(section, dict) else None
    return limit if isinstance(limit, int) and limit > 0 else 0


def _is_queued(section: object) -> bool:
    return isinstance(section, dict) and section.get("queue") is True


def _command_line(args: list[str]) -> int:
    """Used by `workbench.runs.control.start`; a person needs no more than RUN_DIR."""
    import argparse

    own = args[: args.index("--")] if "--" in args else args
    parser = argparse.ArgumentParser(
        prog="python -m workbench.runs.supervise",
        usage="%(prog)s [--grace SECONDS] [--back-off SECONDS …] [--queue | --no-queue] "
        "[--changes FILE] [--detach FD] RUN_DIR [-- TRAINER …]",
    )
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--grace", type=float, default=GRACE_SECONDS)
    parser.add_argument("--back-off", type=float, action="append", metavar="SECONDS")
    parser.add_argument("--queue", action=argparse.BooleanOptionalAction)
    parser.add_argument("--changes", type=Path)
    parser.add_argument("--detach", type=int, metavar="FD")
    options = parser.parse_args(own)
    command = args[len(own) + 1 :] or None
    report: Callable[[dict[str, Any]], None] = lambda _: None  # noqa: E731
    if options.detach is not None:
        if os.fork():
            os._exit(0)  # whoever started this can wait for it now, and keeps no zombie

        def report(message: dict[str, Any]) -> None:
            with contextlib.suppress(OSError):  # the face may have died meanwhile: the run goes on
                os.write(options.detach, encode(to_json(message)))
            os.close(options.detach)

    code = main(
        options.run_dir,
        command=command,
        grace=options.grace,
        back_off=options.back_off or BACK_OFF,
        queue=options.queue,
        changes=options.changes,
        report=report,
    )
    if code == 0:
        _keep_columns(RunDir(options.run_dir))
    return code


def _keep_columns(run: RunDir) -> None:
    """Leave a long run's columns behind, so that the first face need not parse 1e6 rows for 5 s.

    The run is over and its lock is free: nobody waits for this, and nobody misses it.
    """
    with contextlib.suppress(OSError, MemoryError, RecursionError):
        written = sum(path.stat().st_size for path in run.metrics_dir.iterdir())
        if written < _LONG_BYTES:
            return
        from workbench.runs.follow import Follower

        os.nice(10)  # another run may have begun
        Follower(run).poll()


if __name__ == "__main__":
    sys.exit(_command_line(sys.argv[1:]))
