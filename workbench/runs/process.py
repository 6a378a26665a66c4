"""Who is alive: process identities that survive pid reuse, environment markers, and run locks.

A pid alone says nothing: it may be a stranger's by now, or a zombie's. A process is known by its
pid, its start in clock ticks and the boot of the machine, and is signalled through a pidfd, so that
no stranger is ever hit. Whether a run lives is told by a lock, which the kernel frees at any death.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

MARKER: Final = "AVA_RUN_DIR"
_PROC: Final = Path("/proc")
_KTHREADD: Final = 2
_LOCAL_RANK: Final = b"LOCAL_RANK="
_LOOKS: Final = 20
"""How often, a millisecond apart, `marked` looks at a process that is in the middle of exec."""


class Identity(NamedTuple):
    """One process and no other: a reused pid differs in the start, a reboot in the boot id."""

    pid: int
    start_ticks: int
    boot_id: str
    host: str

    def to_dict(self) -> dict[str, Any]:
        """The identity as JSON-ready data."""
        return self._asdict()

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Identity | None:
        """The identity that ``to_dict`` wrote; None when something is missing."""
        pid, ticks = data.get("pid"), data.get("start_ticks")
        if not isinstance(pid, int) or not isinstance(ticks, int) or pid <= 0:
            return None
        return Identity(pid, ticks, str(data.get("boot_id", "")), str(data.get("host", "")))


def boot_id(proc: Path = _PROC) -> str:
    """What names the present boot of this machine; empty where the kernel does not say."""
    return _this_boot() if proc == _PROC else _read_boot_id(proc)


@cache
def _this_boot() -> str:
    """It does not change while this process lives, and every verdict asks for it."""
    return _read_boot_id(_PROC)


def _read_boot_id(proc: Path) -> str:
    try:
        return (proc / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def identify(pid: int, proc: Path = _PROC) -> Identity | None:
    """The process that has this pid now; None when there is none, or only a zombie."""
    stat = _stat(pid, proc)
    return None if stat is None else Identity(pid, stat[1], boot_id(proc), os.uname().nodename)


def is_alive(identity: Identity, proc: Path = _PROC) -> bool:
    """Whether this very process still runs on this machine."""
    stat = _stat(identity.pid, proc)
    return (
        stat is not None and stat[1] == identity.start_ticks and boot_id(proc) == identity.boot_id
    )


def send_signal(pid: int, start_ticks: int, number: int) -> bool:
    """Signal the process that has this pid and start; returns whether it was there."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EPERM):
            return False
        descriptor = -1  # an old kernel or a strict sandbox: the check below is as close as it gets
    try:
        # Opened first and checked then: the descriptor cannot move to a process born in between.
        stat = _stat(pid, _PROC)
        if stat is None or stat[1] != start_ticks:
            return False
        if descriptor >= 0:
            signal.pidfd_send_signal(descriptor, number)
        else:
            os.kill(pid, number)
    except OSError:
        return False
    finally:
        if descriptor >= 0:
            os.close(descriptor)
    return True


def marker(run_path: Path) -> str:
    """What the marker says for a run: its real path, however the run was reached."""
    return os.path.realpath(run_path)


def marked(run_path: Path, proc: Path = _PROC) -> dict[int, int]:
    """All other processes that carry the run's marker in their environment: pid and start ticks.

    A process cannot lose the marker by leaving its parent, session or process group.
    """
    return carrying(MARKER, marker(run_path), proc)


def carrying(name: str, value: str, proc: Path = _PROC) -> dict[int, int]:
    """All other processes that have a variable of this value: pid and start ticks."""
    wanted = os.fsencode(f"{name}={value}")
    found = {}
    unread = set(_pids(proc)) - {os.getpid()}
    for _ in range(_LOOKS):
        newborn = set()
        for pid in unread:
            with contextlib.suppress(OSError):
                environment = (proc / str(pid) / "environ").read_bytes()
                if wanted in environment.split(b"\0") and (stat := _stat(pid, proc)):
                    found[pid] = stat[1]
                elif not environment and _may_be_in_exec(pid, proc):
                    newborn.add(pid)
        if not newborn:
            break
        unread = newborn
        time.sleep(0.001)
    return found


def ranks(run_path: Path, proc: Path = _PROC) -> dict[int, int]:
    """The run's training processes under a launcher: pid and start ticks; empty without one.

    They are the marked ones whose launcher has given them a LOCAL_RANK. Their own children, such as
    data loaders, have inherited it and are left out: a stop is none of their business.
    """
    parents = {}
    for pid, ticks in marked(run_path, proc).items():
        with contextlib.suppress(OSError):
            environment = (proc / str(pid) / "environ").read_bytes()
            named = environment.startswith(_LOCAL_RANK) or b"\0" + _LOCAL_RANK in environment
            if named and (stat := _stat(pid, proc)):
                parents[pid] = stat[0], ticks
    return {pid: ticks for pid, (parent, ticks) in parents.items() if parent not in parents}


def is_paused(pid: int, proc: Path = _PROC) -> bool:
    """Whether somebody has stopped this process with SIGSTOP or Ctrl-Z."""
    try:
        text = (proc / str(pid) / "stat").read_text(errors="replace")
        return text.rpartition(")")[2].split()[0] in "Tt"
    except (OSError, IndexError):
        return False


def _may_be_in_exec(pid: int, proc: Path) -> bool:
    """Whether an empty environment may be one that the kernel has yet to fill.

    In the middle of exec a process has none for some microseconds; a kernel thread never has one.
    """
    stat = _stat(pid, proc)
    return stat is not None and _KTHREADD not in (pid, stat[0])


def descendants(root: int, proc: Path = _PROC) -> dict[int, int]:
    """All processes below this one in the family tree: pid and start ticks."""
    stats = {pid: stat for pid in _pids(proc) if (stat := _stat(pid, proc))}
    family = {root}
    while more := {pid for pid, (parent, _) in stats.items() if parent in family} - family:
        family |= more
    return {pid: stats[pid][1] for pid in family - {root}}


def end_all(
    find: Callable[[], dict[int, int]], *, grace: float, give_up: float = 10.0
) -> tuple[int, int]:
    """Ask processes to end, make them end, and look again until none is left.

    Args:
        find: Finds those that are left.
        grace: Seconds between SIGTERM and SIGKILL; 0 kills at once.
        give_up: Seconds after which SIGKILL has evidently not helped (a process in a dead disk).

    Returns:
        How many there were at first, and how many are left.
    """
    start = time.monotonic()
    asked: dict[int, int] = {}
    first = len(left := find())
    while left and (waited := time.monotonic() - start) < grace + give_up:
        for pid, ticks in left.items():
            if waited >= grace:
                send_signal(pid, ticks, signal.SIGKILL)
            elif asked.get(pid) != ticks:
                asked[pid] = ticks
                send_signal(pid, ticks, signal.SIGTERM)
        time.sleep(0.02)
        left = find()
    return first, len(left)


def try_lock(path: Path) -> int | None:
    """Take a run's lock: the descriptor that holds it, None when a living process has it.

    Raises:
        OSError: The file cannot be made or the file system does not lock.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        for _ in range(200):
            if _flock(descriptor, fcntl.LOCK_EX):
                if not _is_named(descriptor, path):
                    return None
                held, descriptor = descriptor, -1
                return held
            if not _flock(descriptor, fcntl.LOCK_SH):
                return None
            # Only readers were in the way, for the microseconds that `is_locked` takes.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            time.sleep(0.005)
        return None
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _is_named(descriptor: int, path: Path) -> bool:
    """Whether an open file still has its name: a run may be deleted while its lock is taken."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def is_locked(path: Path) -> bool | None:
    """Whether a living process holds the run's lock; None where the file system cannot tell."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        return not _flock(descriptor, fcntl.LOCK_SH)
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _flock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _pids(proc: Path) -> Iterator[int]:
    with os.scandir(proc) as entries:
        yield from (int(entry.name) for entry in entries if entry.name.isdecimal())


def _stat(pid: int, proc: Path) -> tuple[int, int] | None:
    """Parent and start ticks of a process; None when there is none, or only a zombie."""
    try:
        text = (proc / str(pid) / "stat").read_text(errors="replace")
        # The name stands in brackets and may itself hold spaces and brackets: proc_pid_stat(5).
        fields = text.rpartition(")")[2].split()
        return None if fields[0] in "ZXx" else (int(fields[1]), int(fields[19]))
    except (OSError, ValueError, IndexError):
        return None
