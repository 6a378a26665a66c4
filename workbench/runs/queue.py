"""The line of runs on one machine: who computes, who waits, and whose turn it is.

There is no daemon. Each supervisor has a ticket, a file in one folder of the user, and holds its
lock as long as it lives: a ticket whose lock can be taken belongs to a dead process and is removed
by whoever finds it. Numbers are dealt under the folder's own lock, and whoever starts decides under
it too, so that of two that wait only one begins.

A run that is launched without waiting has a ticket as well: it is what the others wait for.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from workbench.runs.files import encode, read_json, to_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

STATE_DIR: Final = "AVA_STATE_DIR"
"""Names another folder for what is the user's and of no run; for tests and odd homes."""

_TICKET: Final = re.compile(r"(\d{10})\.json", re.ASCII)
_PATIENCE_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Ticket:
    """A place in the line.

    Attributes:
        number: Order of arrival.
        run: The run's directory.
        devices: What it computes on: ``cpu``, ``cuda:3``, or ``cuda:*`` for whatever is there.
        running: Whether it computes; else it waits.
        pid: Its supervisor.
    """

    number: int
    run: str
    devices: frozenset[str]
    running: bool
    pid: int

    @property
    def name(self) -> str:
        """The run's name."""
        return Path(self.run).name

    def in_the_way_of(self, other: Ticket) -> bool:
        """Whether `other` has to wait for this one."""
        return (self.running or self.number < other.number) and overlap(self.devices, other.devices)


class Line:
    """One supervisor's place in the line.

    Args:
        run_path: The run's directory.
        devices: What it computes on.
        folder: Where the tickets are; that of this user and machine when left out.
    """

    def __init__(self, run_path: Path, devices: frozenset[str], folder: Path | None = None) -> None:
        self.folder = line_folder() if folder is None else folder
        self._mine = Ticket(0, str(run_path), devices, False, os.getpid())
        self._path: Path | None = None
        self._descriptor: int | None = None

    def join(self, *, running: bool) -> None:
        """Take a ticket: to wait for one's turn, or `running` at once.

        Raises:
            OSError: The folder cannot be made or written to.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(self.folder):
            number = 1 + max((ticket.number for ticket in _living(self.folder)), default=0)
            self._path = self.folder / f"{number:010d}.json"
            flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            self._descriptor = os.open(self._path, flags, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)  # a reader may have it, for microseconds
            self._tell(number, running=running)

    def my_turn(self) -> bool:
        """Whether the devices are free for us; if so, we have them from now on.

        Raises:
            OSError: The folder cannot be read.
        """
        if any(ticket.in_the_way_of(self._mine) for ticket in _read(self.folder)):
            return False  # most looks end here, without the lock
        with _locked(self.folder):
            others = [t for t in _living(self.folder) if t.number != self._mine.number]
            if any(ticket.in_the_way_of(self._mine) for ticket in others):
                return False
            self._tell(self._mine.number, running=True)
            return True

    def leave(self) -> None:
        """Give the place up."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                if self._path is not None:
                    self._path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None

    def _tell(self, number: int, *, running: bool) -> None:
        assert self._descriptor is not None
        mine = self._mine
        self._mine = Ticket(number, mine.run, mine.devices, running, mine.pid)
        facts = {
            "run": mine.run,
            "devices": sorted(mine.devices),
            "running": running,
            "pid": mine.pid,
            "t": time.time(),
        }
        data = encode(to_json(facts) + "\n")
        os.pwrite(self._descriptor, data.ljust(4096), 0)  # never shorter, so never half old


def ahead_of(run_path: Path, folder: Path | None = None) -> list[Ticket]:
    """Those that a waiting run waits for, in their order; for a face, which takes no lock."""
    tickets = list(_read(line_folder() if folder is None else folder))
    mine = next((t for t in tickets if t.run == str(run_path) and not t.running), None)
    if mine is None:
        return []
    ahead = [t for t in tickets if t.number != mine.number and t.in_the_way_of(mine)]
    return sorted(ahead, key=lambda ticket: (not ticket.running, ticket.number))


def devices_of(
    config: Mapping[str, Any], environ: Mapping[str, str], proc: Path = Path("/proc")
) -> frozenset[str]:
    """What a run computes on, as far as can be said without asking the devices themselves."""
    section = config.get("run")
    asked = section.get("device") if isinstance(section, dict) else None
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    has_gpu = (proc / "driver/nvidia/gpus").is_dir() and visible not in ("", "-1")
    if asked == "cpu" or (asked != "cuda" and not has_gpu):
        return frozenset({"cpu"})
    names = [name.strip() for name in (visible or "").split(",") if name.strip()]
    return frozenset(f"cuda:{name}" for name in names) or frozenset({"cuda:*"})


def overlap(first: frozenset[str], second: frozenset[str]) -> bool:
    """Whether two sets of devices have one in common."""
    if first & second:
        return True
    kinds = [{name.partition(":")[0] for name in each} for each in (first, second)]
    anything = any(name.endswith(":*") for name in first | second)
    return anything and bool(kinds[0] & kinds[1])


def line_folder() -> Path:
    """Where the tickets of this user on this machine are; a home may be shared by machines."""
    base = os.environ.get(STATE_DIR)
    if base:
        place = Path(base)
    else:
        state = os.environ.get("XDG_STATE_HOME")
        place = (Path(state) if state else Path.home() / ".local/state") / "ava-workbench"
    return place / f"line-{os.uname().nodename}"


def _living(folder: Path) -> list[Ticket]:
    """The tickets whose supervisors live; those of dead ones are removed. Under the lock."""
    living = []
    for number, path in _tickets(folder):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            if (ticket := _parse(number, path)) is not None:
                living.append(ticket)
        else:
            path.unlink(missing_ok=True)
        finally:
            os.close(descriptor)
    return living


def _read(folder: Path) -> Iterator[Ticket]:
    """The tickets of supervisors that live, without the folder's lock."""
    from workbench.runs.process import is_locked

    for number, path in _tickets(folder):
        if is_locked(path) is not False and (ticket := _parse(number, path)) is not None:
            yield ticket


def _parse(number: int, path: Path) -> Ticket | None:
    facts = read_json(path)
    devices, pid = facts.get("devices"), facts.get("pid")
    if not isinstance(devices, list) or not isinstance(pid, int):
        return None
    return Ticket(
        number,
        str(facts.get("run", "")),
        frozenset(map(str, devices)),
        facts.get("running") is True,
        pid,
    )


def _tickets(folder: Path) -> list[tuple[int, Path]]:
    try:
        names = [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return []
    matches = [match for name in names if (match := _TICKET.fullmatch(name))]
    return sorted((int(match[1]), folder / match[0]) for match in matches)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """The folder's own lock, held for the moment of a decision."""
    descriptor = os.open(
        folder / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
    )
    try:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
        yield
    finally:
        os.close(descriptor)
