"""Evidence that the kernel has killed a process because memory ran out.

A SIGKILL says nothing on who sent it. The kernel counts what its OOM killer does, for the machine
and for each control group; a count that has risen during an attempt which ended by SIGKILL,
unasked, tells. Sources: cgroup-v2.rst (memory.events) and cgroup-v1/memory.rst (memory.oom_control)
in the kernel's Documentation/admin-guide, and the field oom_kill of /proc/vmstat.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROC: Final = Path("/proc")
_CGROUP: Final = Path("/sys/fs/cgroup")
_NO_LIMIT: Final = 2**60


def kills(proc: Path = _PROC, cgroup: Path = _CGROUP) -> dict[str, int]:
    """How many processes the OOM killer has ended so far: in our ``group``, on the ``machine``."""
    counts = {}
    machine = _field(proc / "vmstat", "oom_kill")
    if machine is not None:
        counts["machine"] = machine
    for folder in _groups(proc, cgroup):
        for name in ("memory.events", "memory.oom_control"):
            group = _field(folder / name, "oom_kill")
            if group is not None:
                return counts | {"group": group}
    return counts


def risen(before: dict[str, int], after: dict[str, int]) -> bool:
    """Whether the OOM killer was at work between two counts."""
    return any(after.get(name, 0) > count for name, count in before.items())


def limit(proc: Path = _PROC, cgroup: Path = _CGROUP) -> int | None:
    """Bytes that this process and its children may use: the group's limit or the machine's memory.

    None where the system does not say.
    """
    limits = []
    total = _field(proc / "meminfo", "MemTotal:")
    if total is not None:
        limits.append(total * 1024)
    for folder in _groups(proc, cgroup):
        for name in ("memory.max", "memory.limit_in_bytes"):
            text = _read(folder / name).strip()
            if text.isdecimal() and int(text) < _NO_LIMIT:
                limits.append(int(text))
    return min(limits, default=None)


def _groups(proc: Path, cgroup: Path) -> Iterator[Path]:
    """Where the memory of our control group may be told: cgroup v2, hybrid, v1."""
    for line in _read(proc / "self/cgroup").splitlines():
        hierarchy, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        inside = path.lstrip("/")
        if hierarchy == "0" and not controllers:
            yield cgroup / inside
            yield cgroup / "unified" / inside
        elif "memory" in controllers.split(","):
            yield cgroup / "memory" / inside
            yield cgroup / "memory"  # in a container its own group is mounted as the root


def _field(path: Path, name: str) -> int | None:
    for line in _read(path).splitlines():
        key, _, value = line.partition(" ")
        number = value.split()[0] if value.split() else ""
        if key == name and number.isdecimal():
            return int(number)
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
