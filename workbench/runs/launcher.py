"""From a run's resolved config to the command that starts its processes, for all launchers.

    one process                 python -P -m workbench.training RUN --attempt N
    several, one machine        torchrun --standalone: a free port and a fresh store each time
    several machines            torchrun with a c10d rendezvous; the same command on each machine
    several machines, hostfile  the deepspeed launcher, which reaches the others by pdsh and ssh

A plan is an argument list and the variables to add to the environment; no shell ever sees either.
torchrun's own restarts are not used: they reuse addresses that have just died (reliability.md,
finding 9), so each attempt gets a torchrun of its own.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from workbench.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from workbench.runs.directory import RunDir

Kind = Literal["python", "torchrun", "deepspeed"]

TRAINER: Final = (sys.executable, "-P", "-m", "workbench.training")
_MODULE: Final = "workbench.training"
_HOSTFILE: Final = "hostfile"
RANKS: Final = "ranks"
"""Folder of an attempt in which torchrun makes one for each rank; gone when it has ended."""


HEAP = {
    "MALLOC_MMAP_THRESHOLD_": str(2**30),
    "MALLOC_TRIM_THRESHOLD_": str(2**32),
    "MALLOC_TOP_PAD_": str(2**26),
}
"""How glibc keeps the memory that a trainer lets go of: for its next step, which wants the same.

Left to itself, glibc hands large blocks back to the kernel and gets them again, zeroed, page by
page, in every step. Keeping them saved 8 to 15 % of the CPU time of a mixture of 8 experts (bf16, 3
runs each, 2026-11-21) and nothing of a dense network's; neither grew.
"""


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """How one attempt is started on this machine.

    Attributes:
        launcher: What starts the processes.
        nodes: Machines that train together.
        processes: Processes on each machine.
        argv: The command, as an argument list.
        env: What the command's environment has beyond that of the supervisor.
        hostfile: Text of a hostfile that the command names and that is to be written; else None.
    """

    launcher: Kind
    nodes: int
    processes: int
    argv: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
    hostfile: str | None = None

    @property
    def several(self) -> bool:
        """Whether more than one process trains, so that the exit code alone does not tell how."""
        return self.nodes * self.processes > 1 or self.launcher != "python"

    def to_dict(self) -> dict[str, Any]:
        """The plan as JSON-ready data."""
        return asdict(self) | {"argv": list(self.argv)}


def launch_plan(
    run: RunDir,
    config: Mapping[str, Any],
    attempt: int,
    *,
    command: Sequence[str] | None = None,
    python: str = sys.executable,
) -> LaunchPlan:
    """The command that starts an attempt.

    Args:
        run: The run.
        config: Its resolved config; of it ``parallel`` is read, and ``deepspeed.enabled``.
        attempt: The attempt's number.
        command: Another trainer, started as it is; if there are to be several processes, it
            starts them itself.
        python: The interpreter to start.

    Raises:
        ConfigError: The config asks for a launcher that cannot be used here.
    """
    arguments = [str(run.path), "--attempt", str(attempt)]
    parallel = _section(config, "parallel")
    nodes = _count(parallel.get("num_nodes"))
    processes = _count(parallel.get("devices_per_node"))
    if command is not None:
        return LaunchPlan("python", nodes, processes, (*command, *arguments))
    kind = _kind(parallel, nodes, processes)
    if kind == "python":
        return LaunchPlan(kind, 1, 1, (python, "-P", "-m", _MODULE, *arguments))
    env = {"PYTHONSAFEPATH": "1"}
    if kind == "deepspeed":
        argv, hostfile = _deepspeed(run, parallel, attempt, nodes, processes, python)
        return LaunchPlan(kind, nodes, processes, (*argv, *arguments), env, hostfile)
    argv = [python, "-P", "-m", "torch.distributed.run"]
    argv += _rendezvous(run, parallel, attempt, nodes)
    # Its folders would stay in the temporary folder; here the supervisor takes them away.
    logs = run.attempt_dir(attempt) / RANKS
    argv += [f"--nproc-per-node={processes}", "--max-restarts=0", f"--log-dir={logs}"]
    argv += ["--module", _MODULE]
    return LaunchPlan(kind, nodes, processes, (*argv, *arguments), env)


def _kind(parallel: Mapping[str, Any], nodes: int, processes: int) -> Kind:
    asked = parallel.get("launcher") or "auto"
    if asked == "slurm":
        raise ConfigError(
            "the slurm launcher is not started from here",
            where="parallel.launcher",
            why="a cluster's scheduler starts the processes itself",
            fix="--parallel.launcher auto, within a job that you have submitted",
        )
    if asked in ("torchrun", "deepspeed"):
        return "deepspeed" if asked == "deepspeed" else "torchrun"
    if nodes * processes == 1:
        return "python"
    return "deepspeed" if nodes > 1 and parallel.get("hostfile") else "torchrun"


def _rendezvous(run: RunDir, parallel: Mapping[str, Any], attempt: int, nodes: int) -> list[str]:
    if nodes == 1:
        return ["--standalone"]
    address = parallel.get("master_addr") or os.environ.get("MASTER_ADDR")
    if not address and parallel.get("hostfile"):
        address = next(iter(read_hostfile(Path(str(parallel["hostfile"])).expanduser())), None)
    if not address:
        raise ConfigError(
            f"{nodes} machines need a place to meet",
            where="parallel.master_addr",
            why="neither a hostfile nor MASTER_ADDR says which of them is the first",
            fix="--parallel.master_addr NAME_OF_THE_FIRST_MACHINE"
            "\nor name them all: --parallel.hostfile FILE",
        )
    return [
        f"--nnodes={nodes}",
        "--rdzv-backend=c10d",
        f"--rdzv-endpoint={address}:{_port(parallel)}",
        # Of an attempt of its own: machines that still wait for an earlier one do not join.
        f"--rdzv-id={run.name}-{attempt}",
    ]


def _deepspeed(
    run: RunDir,
    parallel: Mapping[str, Any],
    attempt: int,
    nodes: int,
    processes: int,
    python: str,
) -> tuple[list[str], str | None]:
    argv = [python, "-P", "-m", "deepspeed.launcher.runner", "--no_local_rank"]
    given, text = parallel.get("hostfile"), None
    if nodes == 1:
        # A hostfile of our own, for without one the launcher counts the GPUs of this machine; and
        # a free port, for its default is the same in every run.
        path = str(run.attempt_dir(attempt) / _HOSTFILE)
        text = f"localhost slots={processes}\n"
        argv += ["--no_ssh_check", "--master_addr=127.0.0.1", f"--master_port={_free_port()}"]
    else:
        path = str(Path(str(given or "")).expanduser().absolute())
        _check_hosts(path, given, nodes, processes)
        if parallel.get("master_addr"):
            argv.append(f"--master_addr={parallel['master_addr']}")
        argv += [f"--master_port={_port(parallel)}", f"--num_nodes={nodes}"]
    argv += [f"--hostfile={path}", f"--num_gpus={processes}", "--module", _MODULE]
    return argv, text


def _check_hosts(path: str, given: object, nodes: int, processes: int) -> None:
    if not given:
        raise ConfigError(
            "the deepspeed launcher needs to know the machines",
            where="parallel.hostfile",
            fix="--parallel.hostfile FILE, with one line 'name slots=8' per machine",
        )
    hosts = read_hostfile(Path(path))
    usable = [name for name, slots in hosts.items() if slots >= processes]
    if len(usable) < nodes:
        raise ConfigError(
            f"{nodes} machines with {processes} devices each are asked for, and the hostfile "
            f"has {len(usable)}",
            where=path,
            fix="add machines to it, or lower parallel.num_nodes or parallel.devices_per_node",
        )
    if shutil.which("pdsh") is None:
        raise ConfigError(
            "the deepspeed launcher reaches other machines by pdsh, which is not installed",
            where="parallel.launcher",
            fix="install it: apt install pdsh\nor start torchrun on each machine: "
            "--parallel.launcher torchrun --parallel.master_addr NAME",
        )


def read_hostfile(path: Path) -> dict[str, int]:
    """The machines in a hostfile with their devices.

    Raises:
        ConfigError: It cannot be read, or a line is not ``name slots=8``.
    """
    from workbench.runs.files import explain, read_bytes

    try:
        text = read_bytes(path, limit=2**20).decode("utf-8", "replace")
    except OSError as error:
        raise ConfigError(
            "the hostfile cannot be read", where=str(path), why=explain(error)
        ) from None
    hosts: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        name, *rest = words
        slots = rest[0].removeprefix("slots=") if len(rest) == 1 else ""
        if not slots.isdecimal() or not int(slots) or name in hosts or name.startswith("-"):
            raise ConfigError(
                f"line {number} of the hostfile is not understood: {line.strip()[:80]}",
                where=f"{path}:{number}",
                why=f"{name} stands there twice" if name in hosts else None,
                fix="one line per machine: name slots=8",
            )
        hosts[name] = int(slots)
    return hosts


def _free_port() -> int:
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _port(parallel: Mapping[str, Any]) -> int:
    return _count(parallel.get("master_port"), 29500)


def _section(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = config.get(name)
    return section if isinstance(section, dict) else {}


def _count(value: object, default: int = 1) -> int:
    return value if isinstance(value, int) and value > 0 else default
