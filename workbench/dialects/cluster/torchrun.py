"""A script that is started on each machine: torchrun, which lets them meet at the first one."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from workbench.dialects.base import Writing
from workbench.dialects.cluster.job import job_of, prepare

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.config.schema import Config

HERE: Final = '"$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"'


def write(config: Config, *, chosen: frozenset[str]) -> Writing:
    """The script with the config beside it."""
    job = job_of(config, chosen)
    first = job.address or ("localhost" if job.nodes == 1 else None)
    where = (
        f"MASTER_ADDR=${{MASTER_ADDR:-{shlex.quote(first)}}}"
        if first
        else 'MASTER_ADDR=${MASTER_ADDR:?"say which machine is the first: MASTER_ADDR=NAME"}'
    )
    text = f"""\
#!/bin/bash
# Trains {job.name} on {job.nodes} x {job.devices} devices: run this on each of the machines.
set -euo pipefail

HERE={HERE}
{prepare('"$HERE"', job.runs_dir, job.name)}{where}
MASTER_PORT=${{MASTER_PORT:-{job.port}}}
export PYTHONSAFEPATH=1

exec "${{PYTHON:-python3}}" -m torch.distributed.run \\
    --nnodes={job.nodes} \\
    --nproc-per-node={job.devices} \\
    --rdzv-backend=c10d \\
    --rdzv-endpoint="$MASTER_ADDR:$MASTER_PORT" \\
    --rdzv-id={shlex.quote(job.name)}-"$ATTEMPT" \\
    --max-restarts=0 \\
    {job.trainer}
"""
    script = f"{job.name}.torchrun.sh"
    start = f"bash {shlex.quote(script)}"
    if first is None:
        start = f"MASTER_ADDR=NAME_OF_THE_FIRST_MACHINE {start}"
    return Writing({script: text, **job.files}, job.lost, start)


WRITERS: Final[dict[str, Callable[..., Writing]]] = {"torchrun": write}
