"""A plan on several machines: what is written is read by the tools that will read it."""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import MINI, ROOT
from workbench.config.checking import validate
from workbench.config.layers import Layer, compose
from workbench.config.schema import Config
from workbench.dialects.base import Writing
from workbench.dialects.cluster import EXPORTERS
from workbench.plan import plan_from

needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not here")
SCRIPTS = ("torchrun", "hostfile", "slurm")
MANIFESTS = ("kubernetes", "pytorchjob", "hyperpod")
ODD = ('it\'s "a" b}', "$(touch pwned)`touch pwned`; touch pwned #", "-rf é")


def export(name: str, **sections: dict[str, Any]) -> Writing:
    tree: dict[str, Any] = {
        "parallel": {"num_nodes": 4, "devices_per_node": 8},
        "run": {"name": "my-run", "runs_dir": "/shared/runs"},
    }
    for section, values in sections.items():
        tree[section] = tree.get(section, {}) | values
    stack = compose([Layer("plan", tree)])
    config, findings = validate(stack)
    assert config is not None, findings
    return EXPORTERS[name].write(config, chosen=frozenset(stack.origins))


def script_of(writing: Writing) -> str:
    return next(iter(writing.files.values()))


def manifests(writing: Writing) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(script_of(writing)))


def command(script: str, begin: str) -> list[str]:
    """The words of the last command of a script, as bash would pass them."""
    lines = script.replace("\\\n", " ").splitlines()
    line = next(line for line in lines if begin in line and "exec" in line)
    return shlex.split(line)


def pod_script(manifest: dict[str, Any]) -> str:
    """What the (first) container of a manifest runs."""
    spec = manifest["spec"]
    template = (
        spec.get("template")
        or (spec.get("replicaSpecs") or [{}])[0].get("template")
        or spec["pytorchReplicaSpecs"]["Master"]["template"]
    )
    shell, option, text = template["spec"]["containers"][0]["command"]
    assert (shell, option) == ("/bin/bash", "-c")
    return str(text)


# ---------------------------------------------------------------- every export


@pytest.mark.parametrize("name", EXPORTERS)
def test_the_resolved_config_stands_beside_it(name: str) -> None:
    writing = export(name)
    resolved = json.loads(writing.files["config.resolved.json"])
    assert Config.model_validate(resolved["config"]).parallel.num_nodes == 4
    assert yaml.safe_load(writing.files["config.yaml"])["run"]["name"] == "my-run"
    assert json.loads(writing.files["run.json"])["name"] == "my-run"
    assert writing.command


@pytest.mark.parametrize("name", EXPORTERS)
def test_what_only_the_supervisor_does_is_lost(name: str) -> None:
    lost = {each.path for each in export(name, run={"max_restarts": 5}).lost}
    assert "run.max_restarts" in lost


@needs_bash
@pytest.mark.parametrize("name", EXPORTERS)
@pytest.mark.parametrize("odd", ODD)
def test_an_odd_name_stays_a_word(name: str, odd: str, tmp_path: Path) -> None:
    """The lines that make the run's directory are run, up to the launcher."""
    writing = export(
        name,
        run={"name": odd, "runs_dir": str(tmp_path / f"runs {odd}")},
        parallel={"master_addr": odd, "hostfile": odd},
    )
    for file, text in writing.files.items():
        assert "/" not in file
        (tmp_path / file).write_text(text)
    text = script_of(writing)
    if name in MANIFESTS:
        text = pod_script(manifests(writing)[-1]).replace("/runs/", f"{tmp_path}/runs/")
        text = text.replace("/ava-config/", f"{tmp_path}/")
    text = text.replace("exec ", "echo ").replace("first=$(", "first=$(echo ")
    script = tmp_path / "try.sh"
    script.write_text(text)
    environment = {**os.environ, "SLURM_SUBMIT_DIR": str(tmp_path), "SLURM_JOB_ID": "7",
                   "SLURM_JOB_NODELIST": "a", "RANK": "0", "MASTER_ADDR": "a", "MASTER_PORT": "1",
                   "JOB_COMPLETION_INDEX": "0"}  # fmt: skip
    done = subprocess.run(
        ["bash", str(script)],
        capture_output=True, text=True, cwd=tmp_path, timeout=30, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.rglob("pwned"))
    made = list(tmp_path.rglob("attempts/0001"))
    assert len(made) == 1
    assert (made[0].parents[1] / "config.resolved.json").is_file()


# ---------------------------------------------------------------- scripts


@needs_bash
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_bash(name: str, tmp_path: Path) -> None:
    script = tmp_path / "s.sh"
    script.write_text(script_of(export(name)))
    subprocess.run(["bash", "-n", str(script)], check=True, timeout=20)


@pytest.mark.parametrize("name", ["torchrun", "slurm", "kubernetes", "pytorchjob"])
def test_torchrun_s_own_parser_takes_the_command(name: str) -> None:
    from torch.distributed.run import get_args_parser

    writing = export(name)
    text = script_of(writing) if name in SCRIPTS else pod_script(manifests(writing)[-1])
    for variable in ("$JOB_COMPLETION_INDEX", "$RANK", "$MASTER_PORT"):
        text = text.replace(variable, "3")
    words = command(text, "torch.distributed.run")
    arguments = get_args_parser().parse_args(words[words.index("torch.distributed.run") + 1 :])
    assert (arguments.nnodes, arguments.nproc_per_node) == ("4", "8")
    assert arguments.module
    assert arguments.training_script == "workbench.training"
    assert arguments.training_script_args == ["$RUN", "--attempt", "$ATTEMPT"]
    assert arguments.max_restarts == 0
    if name in SCRIPTS:
        assert arguments.rdzv_backend == "c10d"
    else:
        assert arguments.node_rank == 3


def test_deepspeed_s_own_parsers_take_hostfile_and_command(tmp_path: Path) -> None:
    if importlib.util.find_spec("deepspeed") is None:
        pytest.skip("deepspeed is not installed")
    writing = export("hostfile", parallel={"master_addr": "node-a"})
    hostfile = tmp_path / "hostfile"
    hostfile.write_text(writing.files["hostfile"])
    words = command(script_of(writing), "deepspeed")
    code = (
        "import json, sys\n"
        "from deepspeed.launcher.runner import fetch_hostfile, parse_args\n"
        "a = parse_args(json.loads(sys.argv[2]))\n"
        "print(json.dumps([fetch_hostfile(sys.argv[1]), vars(a)]))\n"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code, str(hostfile), json.dumps(words[2:])],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env={**os.environ, "DS_ACCELERATOR": "cpu"},
    ).stdout
    hosts, arguments = json.loads(printed.splitlines()[-1])
    assert hosts == {"node-a": 8, "machine-2": 8, "machine-3": 8, "machine-4": 8}
    assert (arguments["num_nodes"], arguments["num_gpus"]) == (4, 8)
    assert arguments["master_addr"] == "node-a"
    assert arguments["user_script"] == "workbench.training"
    assert arguments["user_args"] == ["$RUN", "--attempt", "$ATTEMPT"]


def test_slurm_asks_for_one_torchrun_on_each_machine() -> None:
    text = script_of(export("slurm", run={"hardware": "p5.48xlarge"}))
    asked = [line.removeprefix("#SBATCH ") for line in text.splitlines() if "#SBATCH" in line]
    assert asked[:4] == [
        "--job-name=my-run",
        "--nodes=4",
        "--ntasks-per-node=1",
        "--gpus-per-node=8",
    ]
    assert "gpus" not in script_of(export("slurm", run={"device": "cpu"}))


def test_several_machines_need_the_name_of_the_first() -> None:
    writing = export("torchrun")
    assert writing.command.startswith("MASTER_ADDR=")
    assert '${MASTER_ADDR:?"say which machine is the first' in script_of(writing)
    named = export("torchrun", parallel={"master_addr": "node-a"})
    assert "${MASTER_ADDR:-node-a}" in script_of(named)


# ---------------------------------------------------------------- manifests


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_carries_the_config_and_shares_the_runs(name: str) -> None:
    writing = export(name)
    configmap, *_, job = manifests(writing)
    assert configmap["kind"] == "ConfigMap"
    assert json.loads(configmap["data"]["config.resolved.json"])["config"]["run"]["name"]
    assert job["metadata"]["name"] == "my-run"
    assert "$(" not in pod_script(job), "Kubernetes would take it for a variable of its own"
    assert '-- workbench.training "$RUN"' in pod_script(job)


def test_a_pytorchjob_has_one_master_and_the_rest_are_workers() -> None:
    job = manifests(export("pytorchjob", run={"hardware": "p5.48xlarge"}))[-1]
    specs = job["spec"]["pytorchReplicaSpecs"]
    assert [specs[kind]["replicas"] for kind in ("Master", "Worker")] == [1, 3]
    pod = specs["Worker"]["template"]["spec"]
    assert pod["containers"][0]["name"] == "pytorch"  # the operator looks for that name
    assert pod["containers"][0]["resources"]["limits"] == {"nvidia.com/gpu": 8}
    assert pod["nodeSelector"] == {"node.kubernetes.io/instance-type": "p5.48xlarge"}
    one = manifests(export("pytorchjob", parallel={"num_nodes": 1}))[-1]
    assert list(one["spec"]["pytorchReplicaSpecs"]) == ["Master"]


def test_a_job_is_indexed_and_its_pods_find_the_first() -> None:
    _, service, job = manifests(export("kubernetes"))
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"] == {"job-name": job["metadata"]["name"]}
    assert (job["spec"]["completions"], job["spec"]["parallelism"]) == (4, 4)
    assert job["spec"]["completionMode"] == "Indexed"
    assert job["spec"]["template"]["spec"]["subdomain"] == service["metadata"]["name"]
    assert '--master-addr="my-run-0.my-run"' in pod_script(job)


def test_a_hyperpod_job_names_its_processes() -> None:
    job = manifests(export("hyperpod", run={"hardware": "p5.48xlarge"}))[-1]
    assert job["kind"] == "HyperPodPyTorchJob"
    assert job["spec"]["nprocPerNode"] == "8"
    (replicas,) = job["spec"]["replicaSpecs"]
    assert replicas["replicas"] == 4
    selector = replicas["template"]["spec"]["nodeSelector"]
    assert selector == {"node.kubernetes.io/instance-type": "ml.p5.48xlarge"}
    assert "exec hyperpodrun --nnodes=4 --nproc_per_node=8" in pod_script(job)


# ---------------------------------------------------------------- a real run


@needs_bash
@pytest.mark.slow
def test_the_torchrun_script_trains_with_two_processes(tmp_path: Path, corpus: Path) -> None:
    overrides = MINI | {
        "max_steps": "3",
        "data.path": str(corpus),
        "devices_per_node": "2",
        "parallel.strategy": "ddp",
        "run.device": "cpu",
        "run.name": "two",
        "master_port": str(20000 + os.getpid() % 20000),
    }
    plan = plan_from("tiny_cpu", overrides=overrides)
    writing = EXPORTERS["torchrun"].write(plan.config, chosen=frozenset(plan.composed.origins))
    for name, text in writing.files.items():
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        shlex.split(writing.command),
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
        check=False,
        env={
            **os.environ,
            "PYTHON": sys.executable,
            "PYTHONPATH": f"{ROOT}:{ROOT / 'kernels'}",
            "OMP_NUM_THREADS": "1",
        },
    )
    assert done.returncode == 0, done.stderr[-2000:]
    run = tmp_path / "runs/two"
    assert json.loads((run / "attempts/0001/ending.json").read_text())["outcome"] == "finished"
    lines = (run / "metrics/0001.jsonl").read_text().splitlines()
    steps = [json.loads(line.partition("\t")[0]).get("step", 0) for line in lines]
    assert max(steps) == 3
    assert list((run / "checkpoints").glob("step-*"))
