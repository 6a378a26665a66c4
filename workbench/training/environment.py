"""What a run computes with, written down at its first attempt and taken up again by the next.

Threads and number format change the last bits of every sum, so a resumed run uses the recorded
ones whatever the machine offers today.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from workbench import machine
from workbench.errors import ConfigError

if TYPE_CHECKING:
    from workbench.config.schema import RunConfig


def choose_device(config: RunConfig, local_rank: int = 0) -> torch.device:
    """Resolve ``run.device`` for a process of this machine.

    Raises:
        ConfigError: A CUDA device is asked for and there is none, or fewer than processes.
    """
    available = torch.cuda.is_available()
    if config.device == "cuda" and not available:
        raise ConfigError(
            "run.device is cuda, but torch finds no CUDA device",
            where="run.device",
            why="this torch was built for the CPU" if torch.version.cuda is None else None,
            fix="use --run.device auto",
        )
    if not available or config.device == "cpu":
        return torch.device("cpu")
    if local_rank >= (count := torch.cuda.device_count()):
        raise ConfigError(
            f"process {local_rank + 1} of this machine has no GPU: there are {count}",
            where="parallel.devices_per_node",
            fix=f"use --parallel.devices_per_node {count}",
        )
    device = torch.device("cuda", local_rank)
    torch.cuda.set_device(device)
    return device


def choose_threads(config: RunConfig, processes: int = 1) -> int:
    """Resolve ``run.threads``: the cores this process may use, and no more than OMP_NUM_THREADS.

    Args:
        config: The section.
        processes: How many processes of the run share the cores of this machine.
    """
    if config.threads:
        return config.threads
    cores = max(1, len(os.sched_getaffinity(0)) // processes)
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores, int(limit)) if limit.isdecimal() and int(limit) else cores


def make_deterministic(threads: int, seed: int, products: str = "highest") -> None:
    """The same numbers every time: kernels without races, a fixed split over threads, one seed."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # What use_deterministic_algorithms sets, without its two seconds of loading torch's compiler.
    torch.set_deterministic_debug_mode("error")
    # Filling fresh memory guards against reading it uninitialised, which we do not do.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    # On a GPU this decides about TF32; products in 16 bits are not concerned.
    torch.set_float32_matmul_precision(products)
    torch.set_num_threads(threads)
    torch.manual_seed(seed)


def describe(device: torch.device, threads: int) -> dict[str, Any]:
    """The machine and the software, as JSON-ready data."""
    return {
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "cpu": machine.cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": threads,
        "git": git_revision(),
        "executable": sys.executable,
        "created": time.time(),
    }


def differences(recorded: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What makes a resumed run differ in its last bits from the run that was interrupted."""
    return [
        f"{what}: was {recorded[what]}, is {now[what]}"
        for what in ("torch", "cpu", "device", "git")
        if what in recorded and recorded[what] != now[what]
    ]


def git_revision() -> str | None:
    """The commit of this source, with ``+`` when files differ from it; None when installed."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None

    def git(*command: str) -> str:
        result = subprocess.run(
            ["git", "-C", root, *command], capture_output=True, text=True, timeout=10, check=True
        )
        return result.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return None
