"""One resolved config, one command: plain, torchrun, deepspeed; and never a shell."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.runs.fakes import make_run
from workbench.errors import ConfigError
from workbench.runs import launcher
from workbench.runs.directory import RunDir
from workbench.runs.launcher import LaunchPlan, launch_plan, read_hostfile


@pytest.fixture
def here(tmp_path: Path) -> RunDir:
    return make_run(tmp_path)


def plan(run: RunDir, attempt: int = 3, **parallel: Any) -> LaunchPlan:
    return launch_plan(run, {"parallel": parallel}, attempt)


def test_one_process_is_started_as_it_is(here: RunDir) -> None:
    found = plan(here)
    assert found.argv == (
        sys.executable, "-P", "-m", "workbench.training", str(here.path), "--attempt", "3",
    )  # fmt: skip
    assert (found.launcher, found.several, found.env) == ("python", False, {})


def test_several_processes_are_started_by_a_torchrun_of_their_own(here: RunDir) -> None:
    found = plan(here, devices_per_node=4)
    assert (found.launcher, found.several) == ("torchrun", True)
    assert found.argv[:4] == (sys.executable, "-P", "-m", "torch.distributed.run")
    assert "--standalone" in found.argv, "a free port each time"
    assert "--nproc-per-node=4" in found.argv
    assert "--max-restarts=0" in found.argv, "restarts are the supervisor's"
    assert found.argv[-5:] == (
        "--module", "workbench.training", str(here.path), "--attempt", "3",
    )  # fmt: skip
    assert not any("rdzv" in word for word in found.argv)


@pytest.mark.honours("parallel.num_nodes", "parallel.master_addr", "parallel.master_port")
def test_several_machines_meet_at_the_first_and_only_in_this_attempt(
    here: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    found = plan(here, num_nodes=2, devices_per_node=8, master_addr="node-a", master_port=1234)
    assert found.launcher == "torchrun"
    assert {"--nnodes=2", "--rdzv-endpoint=node-a:1234", "--rdzv-id=r-3"} <= set(found.argv)
    with pytest.raises(ConfigError, match="a place to meet") as caught:
        plan(here, num_nodes=2)
    assert "--parallel.master_addr" in str(caught.value.fix)
    (tmp_path / "hosts").write_text("node-b slots=1\nnode-c slots=1\n")
    found = plan(here, num_nodes=2, launcher="torchrun", hostfile=str(tmp_path / "hosts"))
    assert "--rdzv-endpoint=node-b:29500" in found.argv
    monkeypatch.setenv("MASTER_ADDR", "node-d")
    assert "--rdzv-endpoint=node-d:29500" in plan(here, num_nodes=2).argv


@pytest.mark.honours("parallel.hostfile", "parallel.launcher")
def test_the_deepspeed_launcher_gets_a_hostfile(
    here: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("# ours\nnode-a slots=8\n\nnode-b slots=8  # the new one\n")
    monkeypatch.setattr(launcher.shutil, "which", lambda _: "/usr/bin/pdsh")
    found = plan(here, num_nodes=2, devices_per_node=8, hostfile=str(hosts))
    assert found.launcher == "deepspeed", "a hostfile means that somebody reaches the others"
    assert {f"--hostfile={hosts}", "--num_nodes=2", "--num_gpus=8"} <= set(found.argv)
    assert found.hostfile is None
    monkeypatch.setattr(launcher.shutil, "which", lambda _: None)
    with pytest.raises(ConfigError, match="pdsh"):
        plan(here, num_nodes=2, devices_per_node=8, hostfile=str(hosts))
    with pytest.raises(ConfigError, match="the hostfile has 0"):
        plan(here, num_nodes=2, devices_per_node=9, hostfile=str(hosts))


def test_the_deepspeed_launcher_on_one_machine_counts_our_devices(here: RunDir) -> None:
    first = plan(here, devices_per_node=2, launcher="deepspeed")
    second = plan(here, devices_per_node=2, launcher="deepspeed")
    assert first.hostfile == "localhost slots=2\n"
    assert f"--hostfile={here.attempt_dir(3) / 'hostfile'}" in first.argv
    assert "--no_local_rank" in first.argv, "the trainer reads the environment"
    ports = {word for each in (first, second) for word in each.argv if "master_port" in word}
    assert len(ports) == 2, "two runs at once do not meet"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("node-a", "hosts:1"),
        ("a slots=8\na slots=8\n", "stands there twice"),
        ("a slots=0", "hosts:1"),
        ("a slots=many", "hosts:1"),
        ("-oProxyCommand=x slots=1", "hosts:1"),
        ("a slots=1 b", "hosts:1"),
    ],
)
def test_a_hostfile_of_nonsense_is_named(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "hosts"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_hostfile(path)
    assert words in caught.value.render()


def test_a_hostfile_that_is_not_there_or_no_file(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(ConfigError, match="cannot be read"):
            read_hostfile(path)


def test_slurm_is_not_started_from_here(here: RunDir) -> None:
    with pytest.raises(ConfigError, match="slurm"):
        plan(here, launcher="slurm")


def test_hostile_paths_stay_one_argument(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "a b; touch x $(id)\n'")
    assert plan(run, devices_per_node=2).argv[-3] == str(run.path)


def test_a_config_of_an_older_version_is_one_process(here: RunDir) -> None:
    assert launch_plan(here, {}, 1).launcher == "python"
    assert launch_plan(here, {"parallel": None}, 1).launcher == "python"
