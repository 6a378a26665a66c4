"""DeepSpeed's launcher, which reaches the machines of a hostfile by pdsh and ssh."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from workbench.dialects.base import Writing
from workbench.dialects.cluster.job import MODULE, job_of, prepare
from workbench.dialects.cluster.torchrun import HERE

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.config.schema import Config
    from workbench.dialects.cluster.job import Job


def write(config: Config, *, chosen: frozenset[str]) -> Writing:
    """A hostfile, the script that starts the launcher, and the config."""
    job = job_of(config, chosen)
    given = config.parallel.hostfile
    hostfile = shlex.quote(given) if given else '"$HERE/hostfile"'
    address = f"    --master_addr={shlex.quote(job.address)} \\\n" if job.address else ""
    text = f"""\
#!/bin/bash
# Trains {job.name} on {job.nodes} x {job.devices} devices: run this on the first machine.
set -euo pipefail

HERE={HERE}
{prepare('"$HERE"', job.runs_dir, job.name)}export PYTHONSAFEPATH=1

exec deepspeed \\
    --hostfile={hostfile} \\
    --num_nodes={job.nodes} \\
    --num_gpus={job.devices} \\
{address}    --master_port={job.port} \\
    --no_local_rank \\
    --module \\
    -- {MODULE} "$RUN" --attempt "$ATTEMPT"
"""
    script = f"{job.name}.deepspeed.sh"
    files = {script: text, **job.files}
    start = f"bash {shlex.quote(script)}"
    if not given:
        files["hostfile"] = _hostfile(job)
        start = f"put the names of your machines into hostfile, then:\n{start}"
    return Writing(files, job.lost, start)


def _hostfile(job: Job) -> str:
    """One line per machine; the first is where the processes meet."""
    names = [f"machine-{number}" for number in range(1, job.nodes + 1)]
    if job.address:
        names[0] = job.address
    return "".join(f"{name} slots={job.devices}\n" for name in names)


WRITERS: Final[dict[str, Callable[..., Writing]]] = {"hostfile": write}
