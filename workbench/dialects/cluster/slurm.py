"""A Slurm batch script: one torchrun on each machine of the job."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from workbench.dialects.base import Writing
from workbench.dialects.cluster.job import job_of, prepare

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.config.schema import Config


def write(config: Config, *, chosen: frozenset[str]) -> Writing:
    """The batch script with the config beside it."""
    job = job_of(config, chosen)
    gpus = f"#SBATCH --gpus-per-node={job.devices}\n" if job.resource else ""
    text = f"""\
#!/bin/bash
#SBATCH --job-name={job.name}
#SBATCH --nodes={job.nodes}
#SBATCH --ntasks-per-node=1
{gpus}#SBATCH --exclusive
#SBATCH --output=%x_%j.out
set -euo pipefail

# Slurm runs a copy of this script, so its own folder says nothing: submit it from there.
HERE=$SLURM_SUBMIT_DIR
{prepare('"$HERE"', job.runs_dir, job.name)}export RUN ATTEMPT PYTHONSAFEPATH=1

first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)

exec srun --kill-on-bad-exit=1 "${{PYTHON:-python3}}" -m torch.distributed.run \\
    --nnodes={job.nodes} \\
    --nproc-per-node={job.devices} \\
    --rdzv-backend=c10d \\
    --rdzv-endpoint="$first:{job.port}" \\
    --rdzv-id="$SLURM_JOB_ID" \\
    --max-restarts=0 \\
    {job.trainer}
"""
    script = f"{job.name}.sbatch"
    return Writing({script: text, **job.files}, job.lost, f"sbatch {shlex.quote(script)}")


WRITERS: Final[dict[str, Callable[..., Writing]]] = {"slurm": write}
