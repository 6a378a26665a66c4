"""A new batch script and a new manifest for AWS's trainer, in the form of its own files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from workbench.config.schema import Config

_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - where a container mounts its shared memory
# Network interfaces (EFA) of an instance, by AWS's own pages on each type.
_GPUS_EFA = {"p5.48xlarge": 32, "p5en.48xlarge": 16, "p4d.24xlarge": 4, "p4de.24xlarge": 4}


def new_script(config: Config, name: str, flags: list[str]) -> str:
    """A Slurm script that starts the trainer with these flags."""
    from workbench.dialects.aws_fsdp.writing import quoted

    nodes, devices = config.parallel.num_nodes, config.parallel.devices_per_node
    arguments = "\n".join(f"    {quoted(flag)}" for flag in flags)
    return f"""\
#!/bin/bash
#SBATCH --nodes={nodes}
#SBATCH --job-name={name}-FSDP
#SBATCH --output=logs/%x_%j.out
#SBATCH --error=logs/%x_%j.err
#SBATCH --exclusive

set -ex

GPUS_PER_NODE={devices}
TRAIN_SCRIPT=${{TRAIN_SCRIPT:=../src/train.py}}

declare -a TORCHRUN_ARGS=(
    --nproc_per_node=$GPUS_PER_NODE
    --nnodes=$SLURM_JOB_NUM_NODES
    --rdzv_id=$SLURM_JOB_ID
    --rdzv_backend=c10d
    --rdzv_endpoint=$(hostname)
)

declare -a TRAINING_ARGS=(
{arguments}
)

AUTO_RESUME=""
if [ -d "/opt/sagemaker_cluster" ]; then
    AUTO_RESUME="--auto-resume=1"
fi
srun ${{AUTO_RESUME}} -l torchrun "${{TORCHRUN_ARGS[@]}}" "$TRAIN_SCRIPT" "${{TRAINING_ARGS[@]}}"
"""


def new_manifest(config: Config, name: str, flags: list[str]) -> str:
    """A PyTorchJob of Kubeflow that starts the trainer with these flags."""
    nodes, devices = config.parallel.num_nodes, config.parallel.devices_per_node
    job = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:50] + "-fsdp"
    hardware = config.run.hardware
    resources: dict[str, Any] = {"nvidia.com/gpu": devices}
    if hardware in _GPUS_EFA:
        resources["vpc.amazonaws.com/efa"] = _GPUS_EFA[hardware]
    words = ["/usr/local/bin/torchrun", f"--nproc_per_node={devices}", f"--nnodes={nodes}"]
    pod: dict[str, Any] = {
        "volumes": [{"name": "shmem", "hostPath": {"path": _SHARED_MEMORY}}],
        "containers": [
            {
                "name": "pytorch",
                "image": "${IMAGE_URI}",
                "imagePullPolicy": "Always",
                "resources": {"requests": dict(resources), "limits": dict(resources)},
                "env": [{"name": "HF_TOKEN", "value": "${HF_TOKEN}"}],
                "command": [*words, "/fsdp/train.py", *flags],
                "volumeMounts": [{"name": "shmem", "mountPath": _SHARED_MEMORY}],
            }
        ],
    }
    if hardware is not None and re.search(r"\.(\d*x?large|metal)", hardware):
        pod["nodeSelector"] = {"node.kubernetes.io/instance-type": hardware}
    worker = {
        "replicas": nodes,
        "restartPolicy": "OnFailure",
        "template": {"metadata": {"labels": {"app": job}}, "spec": pod},
    }
    tree = {
        "apiVersion": "kubeflow.org/v1",
        "kind": "PyTorchJob",
        "metadata": {"name": job},
        "spec": {
            "elasticPolicy": {
                "rdzvBackend": "c10d",
                "minReplicas": 1,
                "maxReplicas": max(1, nodes),
            },
            "pytorchReplicaSpecs": {"Worker": worker},
        },
    }
    return as_yaml(tree)


def as_yaml(tree: dict[str, Any]) -> str:
    """A manifest in block style, in the order of its keys."""
    return yaml.safe_dump(tree, sort_keys=False, width=10_000, allow_unicode=True)
