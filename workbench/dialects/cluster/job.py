"""What every export says of a plan: its name, its machines, its config, its run directory."""

from __future__ import annotations

import json
import re
import shlex
import time
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from workbench import __version__
from workbench.config.render import to_yaml
from workbench.dialects.base import Lost

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workbench.config.schema import Config

MODULE: Final = "workbench.training"
FOLDERS: Final = ("metrics", "attempts", "checkpoints", "samples", "inbox")
CONFIG_FILES: Final = ("config.resolved.json", "config.yaml", "run.json")

_LONGEST: Final = 60
_BY_SUPERVISOR: Final = {
    "run.max_restarts": "the cluster restarts, not the supervisor",
    "run.queue": "the cluster queues",
    "parallel.launcher": "the export is the launcher",
}


@dataclass(frozen=True, slots=True)
class Job:
    """A plan to be started on a cluster.

    Attributes:
        name: Name of the run and of the job; letters, digits, ``.``, ``_`` and ``-``.
        nodes: Machines.
        devices: Processes on each machine, one per device.
        port: Port on which the processes meet.
        address: The first machine, where the plan names it.
        runs_dir: Folder of the runs, which every machine sees.
        hardware: The profile that the plan is made for.
        resource: What Kubernetes calls the devices; None where it has no name for them.
        files: The config, and what makes a directory a run, by file name.
        lost: What of the plan no cluster does.
    """

    name: str
    nodes: int
    devices: int
    port: int
    address: str | None
    runs_dir: str
    hardware: str | None
    resource: str | None
    files: dict[str, str]
    lost: tuple[Lost, ...]

    @property
    def label(self) -> str:
        """The name as DNS takes it: small letters, digits and dashes (RFC 1123)."""
        return (
            re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")[:_LONGEST].strip("-") or "run"
        )

    @property
    def trainer(self) -> str:
        """The words behind torchrun's own: ``--`` first, so that nothing is taken for an option."""
        return f'--module -- {MODULE} "$RUN" --attempt "$ATTEMPT"'


def job_of(
    config: Config, chosen: frozenset[str], lost: Mapping[str, str] = MappingProxyType({})
) -> Job:
    """The job that a plan comes to.

    Args:
        config: The plan's config.
        chosen: The keys that a layer set.
        lost: Keys that this kind of cluster cannot do, and why.
    """
    parallel, run = config.parallel, config.run
    name = _name(run.name or "run")
    return Job(
        name=name,
        nodes=parallel.num_nodes,
        devices=parallel.devices_per_node,
        port=parallel.master_port,
        address=parallel.master_addr,
        runs_dir=run.runs_dir,
        hardware=run.hardware,
        resource=_resource(config),
        files=_files(config, name),
        lost=tuple(
            Lost(path, _value(config, path), reason)
            for path, reason in (*_BY_SUPERVISOR.items(), *lost.items())
            if path in chosen
        ),
    )


def prepare(here: str, runs_dir: str, name: str) -> str:
    """Shell lines that make the run's directory; all machines may do it at once.

    Args:
        here: The folder of the config, as a shell word.
        runs_dir: The folder of the runs; a relative one is below `here`.
        name: The run's name.
    """
    folder = shlex.quote(runs_dir)
    if runs_dir.startswith("~/"):
        folder = f'"$HOME"/{shlex.quote(runs_dir[2:])}'
    elif not runs_dir.startswith("/"):
        folder = f"{here}/{folder}"
    target = f"{folder}/{shlex.quote(name)}"
    folders = " ".join(f'"$RUN/{folder}"' for folder in FOLDERS)
    copies = " ".join(f"{here}/{file}" for file in CONFIG_FILES)
    return (
        f"RUN=${{RUN_DIR:-{target}}}\n"
        "ATTEMPT=${ATTEMPT:-1}\n"
        f'mkdir -p {folders} "$RUN/attempts/$(printf %04d "$ATTEMPT")"\n'
        f'cp -n {copies} "$RUN/"\n'
    )


def _name(text: str) -> str:
    words = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")
    return words[:_LONGEST] or "run"


def _value(config: Config, path: str) -> object:
    from workbench.config.keys import value_at

    return value_at(config, path)


def _files(config: Config, name: str) -> dict[str, str]:
    tree = config.model_dump(mode="json")
    tree["run"]["name"] = name
    run = {
        "schema": 1,
        "name": name,
        "created": time.time(),
        "recipe": None,
        "title": None,
        "command": ["ava", "export"],
        "stack": [],
        "workbench_version": __version__,
    }
    resolved = {"schema": 1, "config": tree, "origins": {}}
    return {
        "config.resolved.json": json.dumps(resolved, indent=1) + "\n",
        "config.yaml": to_yaml(tree),
        "run.json": json.dumps(run, indent=1) + "\n",
    }


def _resource(config: Config) -> str | None:
    """What the devices are called: by the hardware's profile, else by run.device."""
    from workbench.errors import UsageError
    from workbench.hardware.devices import device

    if config.run.hardware is None:
        return None if config.run.device == "cpu" else "nvidia.com/gpu"
    try:
        profile = device(config.run.hardware)
    except UsageError:
        return "nvidia.com/gpu"
    if profile.kind == "cuda":
        return "nvidia.com/gpu"
    return "amd.com/gpu" if profile.kind == "rocm" else None
