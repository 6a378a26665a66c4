"""This machine, as Linux describes it: processor, memory, and what a container leaves of them.

Everything that cannot be read is None; nothing is guessed.
"""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

_PROC = Path("/proc")
_CGROUP = Path("/sys/fs/cgroup")

# Instructions that multiply bf16 natively: x86 (Cooper Lake and Zen 4 on), x86 matrix units, Arm.
NATIVE_BF16 = ("avx512_bf16", "amx_bf16", "bf16")


def cpu_model(proc: Path = _PROC) -> str:
    """The name of the processor."""
    match = re.search(r"^model name\s*:\s*(.+)", _text(proc / "cpuinfo"), re.MULTILINE)
    return match[1].strip() if match else platform.processor() or platform.machine()


def cpu_flags(proc: Path = _PROC) -> set[str]:
    """The instruction sets of this CPU, as Linux names them; empty when it does not say."""
    line = re.search(r"^(?:flags|Features)\s*:(.*)$", _text(proc / "cpuinfo"), re.MULTILINE)
    return set(line[1].split()) if line else set()


def native_bf16(proc: Path = _PROC) -> str | None:
    """The instruction set with which this CPU multiplies bf16; None when it only emulates it."""
    flags = cpu_flags(proc)
    return next((flag for flag in NATIVE_BF16 if flag in flags), None)


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def total_memory(proc: Path = _PROC, cgroup: Path = _CGROUP) -> int | None:
    """Bytes of memory, or of the container's limit when that is smaller."""
    return _smaller(_meminfo("MemTotal", proc), _number(cgroup / "memory.max"))


def available_memory(proc: Path = _PROC, cgroup: Path = _CGROUP) -> int | None:
    """Bytes that programs can still take without swapping or meeting the container's limit."""
    limit, used = _number(cgroup / "memory.max"), _number(cgroup / "memory.current")
    left = max(0, limit - used) if limit is not None and used is not None else None
    return _smaller(_meminfo("MemAvailable", proc), left)


def _meminfo(name: str, proc: Path) -> int | None:
    match = re.search(rf"^{name}:\s*(\d+) kB", _text(proc / "meminfo"), re.MULTILINE)
    return int(match[1]) * 1024 if match else None


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdecimal() else None


def _smaller(a: int | None, b: int | None) -> int | None:
    known = [each for each in (a, b) if each is not None]
    return min(known) if known else None


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
