"""Leaving a run a command: start its supervisor, ask it to stop, wait for what happens."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from workbench.errors import RunError, WorkbenchError
from workbench.runs import process
from workbench.runs.files import (
    atomic_write_json,
    explain,
    open_append,
    parse_line,
    read_json,
    tail_text,
)
from workbench.runs.status import is_alive, verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from workbench.runs.directory import RunDir
    from workbench.runs.status import Verdict

_START_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.05


def start(
    run: RunDir,
    *,
    command: Sequence[str] | None = None,
    grace: float | None = None,
    back_off: Sequence[float] = (),
    queue: bool | None = None,
    changes: Mapping[str, Any] | None = None,
) -> None:
    """Start a run's supervisor, which starts its trainer, and return when both are there.

    The supervisor belongs to no terminal, no session and no parent: whatever happens to this
    process, the run goes on. A queued run has its supervisor at once and its trainer when the
    devices are free.

    Args:
        run: The run; one that has ended starts its next attempt.
        command: The trainer; ``RUN_DIR --attempt N`` is added. By default that of the workbench.
        grace: Seconds that a stopped trainer has for finishing the step and saving.
        back_off: Seconds before the first and each later restart without progress; the usual ones
            when left out.
        queue: Whether to wait until the devices are free; None does as ``run.queue`` says.
        changes: A changed config for a run that goes on: ``config``, ``origins``, ``yaml`` and
            ``changes``, the changed keys with the values before and after. The supervisor, which
            alone writes in a run, takes it over.

    Raises:
        RunError: The run is alive already, or its supervisor could not start, and why.
    """
    message = None
    reading, writing = os.pipe()
    try:
        if changes is not None:
            run.inbox.mkdir(mode=0o700, exist_ok=True)
            message = run.inbox / f"config-{os.urandom(6).hex()}.json"
            atomic_write_json(message, changes, masked=False)
        argv = [sys.executable, "-P", "-m", "workbench.runs.supervise", "--detach", str(writing)]
        argv += [] if grace is None else ["--grace", str(grace)]
        argv += [f"--back-off={seconds}" for seconds in back_off]
        argv += [] if queue is None else ["--queue" if queue else "--no-queue"]
        argv += [] if message is None else ["--changes", str(message)]
        argv += [str(run.path), *(["--", *command] if command else [])]
        child = _spawn(run, argv, writing)
    except OSError as error:
        os.close(reading)
        _forget(message)
        raise RunError(
            f"the run {run.name} cannot be started",
            where=str(error.filename or run.path),
            why=explain(error),
        ) from None
    finally:
        os.close(writing)
    try:
        answer = _read_answer(reading)
        child.wait(timeout=_START_SECONDS)
    except (TimeoutError, subprocess.TimeoutExpired):
        child.kill()
        child.wait()
        raise RunError(
            f"the supervisor of {run.name} did not answer for {_START_SECONDS:.0f} seconds",
            where=str(run.supervisor_log_path),
            fix=f"see whether it has started after all: ava runs show {run.name}",
        ) from None
    finally:
        os.close(reading)
    if "error" in answer:
        _forget(message)
        raise WorkbenchError.from_dict(answer["error"])
    if "pid" not in answer:
        _forget(message)
        words = [line for line in tail_text(run.supervisor_log_path, 5) if line.strip()]
        raise RunError(
            f"the supervisor of {run.name} died while it started",
            where=str(run.supervisor_log_path),
            why="\n".join(words) or "it said nothing",
        )


def stop(run: RunDir, *, now: bool = False) -> None:
    """Ask a run to stop; returns at once. A run that is not alive has nothing to stop.

    Args:
        run: The run.
        now: End it at once, without finishing the step and without saving.

    Raises:
        RunError: The request cannot be left in the run's inbox.
    """
    _request(run, "kill" if now else "stop")


def pause(run: RunDir) -> None:
    """Ask a run to finish its step, save and free the device until it is resumed.

    It is a stop with another name on it: the processes end, and resuming starts the next attempt
    from the checkpoint. Halting them where they are (SIGSTOP) would keep the device's memory, let
    collectives and connections time out, and lose everything with the next reboot.

    Raises:
        RunError: The request cannot be left in the run's inbox.
    """
    _request(run, "pause")


def _request(run: RunDir, name: str) -> None:
    if not is_alive(run):
        return
    request = run.inbox / name
    try:
        run.inbox.mkdir(mode=0o700, exist_ok=True)  # a person may have tidied it away
        # The file's name is the whole command, so making it is atomic.
        os.close(os.open(request, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600))
    except OSError as error:
        pid = _supervisor_pid(run)
        raise RunError(
            f"{run.name} cannot be asked to stop",
            where=str(request),
            why=explain(error),
            fix=f"ask its supervisor: kill {pid}" if pid else None,
        ) from None


def _forget(message: Path | None) -> None:
    """Take back a changed config that nobody will take over."""
    if message is not None:
        with contextlib.suppress(OSError):
            message.unlink(missing_ok=True)


def wait_for_start(run: RunDir, timeout: float = 60.0) -> Verdict:
    """Wait until a started run trains or has ended, at most so long; returns its verdict."""
    return _wait(run, lambda state: state.state not in ("queued", "starting"), timeout)


def wait_for_end(run: RunDir, timeout: float) -> Verdict:
    """Wait until no supervisor holds the run, at most so long; returns its verdict."""
    return _wait(run, lambda state: not state.alive, timeout)


def _wait(run: RunDir, reached: Callable[[Verdict], bool], timeout: float) -> Verdict:
    deadline = time.monotonic() + timeout
    while not reached(state := verdict(run)) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return state


def _spawn(run: RunDir, argv: list[str], answer: int) -> subprocess.Popen[bytes]:
    environment = {name: value for name, value in os.environ.items() if name != process.MARKER}
    environment["PYTHONPATH"] = import_path()
    with open_append(run.supervisor_log_path) as log:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            pass_fds=(answer,),
            start_new_session=True,
            umask=0o077,
        )


def import_path() -> str:
    """PYTHONPATH with which a child finds the packages that this process uses.

    They may come from a checkout that is not installed. An installed package needs no help, and
    site-packages must not come before the standard library.
    """
    from importlib.util import find_spec

    places = []
    for package in ("workbench", "ava_kernels"):
        spec = find_spec(package)
        for folder in spec.submodule_search_locations or () if spec else ():
            place = Path(folder).absolute().parent
            if place.name not in ("site-packages", "dist-packages"):
                places.append(str(place))
    given = os.environ.get("PYTHONPATH")
    return os.pathsep.join([*places, *([given] if given else [])])


def _read_answer(descriptor: int) -> dict[str, Any]:
    """What the supervisor reports; empty when it died before it could.

    Raises:
        TimeoutError: It neither reports nor dies.
    """
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    deadline = time.monotonic() + _START_SECONDS
    parts: list[bytes] = []
    while poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
        part = os.read(descriptor, 65536)
        if not part:
            return parse_line(b"".join(parts))
        parts.append(part)
    raise TimeoutError


def _supervisor_pid(run: RunDir) -> int | None:
    holder = process.Identity.from_dict(read_json(run.lock_path))
    return holder.pid if holder and process.is_alive(holder) else None
