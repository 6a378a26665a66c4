"""Manifests of Kubernetes: an indexed Job, a PyTorchJob, a HyperPodPyTorchJob.

The config travels in a ConfigMap; runs live on a volume that all pods mount, the claim `CLAIM`.
``$(VAR)`` is Kubernetes' own substitution and does not occur: shell variables are ``$VAR``.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, Final

import yaml

from workbench.dialects.base import Writing
from workbench.dialects.cluster.job import CONFIG_FILES, FOLDERS, job_of
from workbench.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.config.schema import Config
    from workbench.dialects.cluster.job import Job

CLAIM: Final = "ava-runs"
IMAGE: Final = "${IMAGE_URI}"
_RUNS: Final = "/runs"
_CONFIG: Final = "/ava-config"
_SHARED_MEMORY: Final = "/dev/shm"  # noqa: S108 - where a container mounts its shared memory
_LOST: Final = {"run.runs_dir": f"runs live in {_RUNS}, on the volume of the claim {CLAIM}"}
_MOST: Final = 900_000  # bytes; etcd takes 1 MiB for an object


def write_job(config: Config, *, chosen: frozenset[str]) -> Writing:
    """An indexed Job with a headless service, through which the pods find the first one."""
    job = job_of(config, chosen, _LOST)
    first = f"{job.label}-0.{job.label}"
    script = _script(job, _torchrun(job, "$JOB_COMPLETION_INDEX", first, str(job.port)))
    pod = _pod(job, script) | {"subdomain": job.label, "restartPolicy": "Never"}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": job.label},
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {"job-name": job.label},
        },
    }
    manifest = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": job.label},
        "spec": {
            "completionMode": "Indexed",
            "completions": job.nodes,
            "parallelism": job.nodes,
            "backoffLimit": 0,
            "template": {"metadata": {"labels": {"app": job.label}}, "spec": pod},
        },
    }
    return _writing(job, "job", [service, manifest])


def write_pytorchjob(config: Config, *, chosen: frozenset[str]) -> Writing:
    """A PyTorchJob: Kubeflow's operator tells each pod its number and the first one's address."""
    job = job_of(config, chosen, _LOST)
    script = _script(job, _torchrun(job, "$RANK", "$MASTER_ADDR", "$MASTER_PORT"))

    def replicas(count: int) -> dict[str, Any]:
        return {
            "replicas": count,
            "restartPolicy": "Never",
            "template": {"metadata": {"labels": {"app": job.label}}, "spec": _pod(job, script)},
        }

    specs = {"Master": replicas(1)}
    if job.nodes > 1:
        specs["Worker"] = replicas(job.nodes - 1)
    manifest = {
        "apiVersion": "kubeflow.org/v1",
        "kind": "PyTorchJob",
        "metadata": {"name": job.label},
        "spec": {"pytorchReplicaSpecs": specs},
    }
    return _writing(job, "pytorchjob", [manifest])


def write_hyperpod(config: Config, *, chosen: frozenset[str]) -> Writing:
    """A HyperPodPyTorchJob: its launcher takes torchrun's options and arranges the meeting.

    AWS's own manifests start ``hyperpodrun`` with torchrun's options and a script; that it takes
    ``--module`` too is an assumption that no cluster has confirmed yet.
    """
    job = job_of(config, chosen, _LOST)
    launcher = (
        f"exec hyperpodrun --nnodes={job.nodes} --nproc_per_node={job.devices} --tee=3 "
        f"--log_dir=/tmp/hyperpod {job.trainer}"
    )
    manifest = {
        "apiVersion": "sagemaker.amazonaws.com/v1",
        "kind": "HyperPodPyTorchJob",
        "metadata": {"name": job.label},
        "spec": {
            "nprocPerNode": str(job.devices),
            "runPolicy": {"cleanPodPolicy": "None"},
            "replicaSpecs": [
                {
                    "name": "pods",
                    "replicas": job.nodes,
                    "template": {
                        "metadata": {"labels": {"app": job.label}},
                        "spec": _pod(job, _script(job, launcher), prefix="ml."),
                    },
                }
            ],
        },
    }
    return _writing(job, "hyperpod", [manifest])


def _torchrun(job: Job, rank: str, address: str, port: str) -> str:
    return (
        f"exec python3 -m torch.distributed.run --nnodes={job.nodes} "
        f'--nproc-per-node={job.devices} --node-rank="{rank}" --master-addr="{address}" '
        f'--master-port="{port}" --max-restarts=0 {job.trainer}'
    )


def _script(job: Job, launcher: str) -> str:
    """What a pod runs: make the run's directory, then start."""
    folders = " ".join(f'"$RUN/{folder}"' for folder in FOLDERS)
    copies = " ".join(f"{_CONFIG}/{file}" for file in CONFIG_FILES)
    return (
        "set -eu\n"
        f"RUN={_RUNS}/{shlex.quote(job.name)}\n"
        "ATTEMPT=1\n"
        f'mkdir -p {folders} "$RUN/attempts/0001"\n'
        f'cp -n {copies} "$RUN/"\n'
        f"{launcher}\n"
    )


def _pod(job: Job, script: str, prefix: str = "") -> dict[str, Any]:
    pod: dict[str, Any] = {
        "volumes": [
            {"name": "runs", "persistentVolumeClaim": {"claimName": CLAIM}},
            {"name": "config", "configMap": {"name": f"{job.label}-config"}},
            {"name": "shmem", "emptyDir": {"medium": "Memory"}},
        ],
        "containers": [
            {
                "name": "pytorch",
                "image": IMAGE,
                "command": ["/bin/bash", "-c", script],
                "env": [{"name": "PYTHONSAFEPATH", "value": "1"}],
                "volumeMounts": [
                    {"name": "runs", "mountPath": _RUNS},
                    {"name": "config", "mountPath": _CONFIG},
                    {"name": "shmem", "mountPath": _SHARED_MEMORY},
                ],
            }
        ],
    }
    if job.resource:
        limits = {job.resource: job.devices}
        pod["containers"][0]["resources"] = {"limits": limits, "requests": dict(limits)}
    if job.hardware and job.hardware.endswith(("xlarge", ".metal")):
        pod["nodeSelector"] = {"node.kubernetes.io/instance-type": f"{prefix}{job.hardware}"}
    return pod


def _writing(job: Job, kind: str, manifests: list[dict[str, Any]]) -> Writing:
    """The manifests in one file, the ConfigMap first.

    Raises:
        ConfigError: The config is larger than a ConfigMap may be.
    """
    if sum(len(text.encode()) for text in job.files.values()) > _MOST:
        raise ConfigError(
            "the config is larger than Kubernetes takes (1 MiB)",
            where="imported",
            fix="leave out what was imported: --imported.keys null",
        )
    configmap = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": f"{job.label}-config"},
        "data": job.files,
    }
    documents = [_as_yaml(each) for each in (configmap, *manifests)]
    name = f"{job.name}.{kind}.yaml"
    start = f"IMAGE_URI=YOUR_IMAGE envsubst '$IMAGE_URI' < {shlex.quote(name)} | kubectl apply -f -"
    start = f"make the volume claim {CLAIM}, which all pods mount; then:\n{start}"
    return Writing({name: "---\n".join(documents), **job.files}, job.lost, start)


def _as_yaml(tree: dict[str, Any]) -> str:
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, width=10_000, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """Text of several lines is written as a block, and nothing as an alias."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's own signature
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)

WRITERS: Final[dict[str, Callable[..., Writing]]] = {
    "kubernetes": write_job,
    "pytorchjob": write_pytorchjob,
    "hyperpod": write_hyperpod,
}
