"""Who a process is among others, and what it is told when that does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from workbench.config.schema import Config
from workbench.errors import ConfigError
from workbench.estimate.batch import Batch
from workbench.plan import plan_from
from workbench.runs.directory import RunDir
from workbench.runs.launcher import launch_plan
from workbench.training import environment
from workbench.training.distributed import World, choose_backend, is_lost_peer, open_world
from workbench.training.engines.choose import choose_strategy

CPU = torch.device("cpu")
LAUNCHED = {
    "RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1",
}  # fmt: skip


def config(**parallel: Any) -> Config:
    return Config.model_validate({"parallel": parallel})


def test_without_a_launcher_a_process_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in LAUNCHED:
        monkeypatch.delenv(name, raising=False)
    world = World.from_environment()
    assert world == World()
    assert world.leads
    assert world.sum([1.5, 2.5]) == [1.5, 2.5]
    assert world.any(True)
    assert world.each("a") == ["a"]
    assert world.from_leader("b") == "b"
    assert dict(world.spread({"c": torch.ones(2)}))["c"].sum() == 2
    with open_world(config(), CPU) as opened:
        assert opened == world
        assert not torch.distributed.is_initialized(), "one process needs no group"


def test_a_launcher_says_who_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in LAUNCHED.items():
        monkeypatch.setenv(name, value)
    assert World.from_environment() == World(rank=3, size=4, local_rank=1, local_size=2)
    assert not World.from_environment().leads
    monkeypatch.delenv("MASTER_ADDR")
    with pytest.raises(ConfigError, match="does not know its place") as caught:
        World.from_environment()
    assert "MASTER_ADDR" in str(caught.value.why)


@pytest.mark.honours("parallel.num_nodes", "parallel.devices_per_node")
@pytest.mark.parametrize("parallel", [{"num_nodes": 2}, {"devices_per_node": 2}])
def test_the_config_says_how_many_there_are(
    monkeypatch: pytest.MonkeyPatch, parallel: dict[str, int]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "1")
    with (
        pytest.raises(ConfigError, match="is for 2 processes, and 1 were started"),
        open_world(config(**parallel), CPU),
    ):
        pass


@pytest.mark.honours("parallel.data_parallel_size")
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_a_strategy_of_many_has_its_group_with_one_process_too(strategy: str) -> None:
    """A job for many devices can be rehearsed on one, as it stands."""
    config = Config.model_validate({"parallel": {"strategy": strategy}})
    with open_world(config, torch.device("cpu")) as world:
        assert world.size == 1
        assert torch.distributed.get_world_size() == 1
    assert not torch.distributed.is_initialized()


def test_the_data_parallel_degree_is_the_number_of_processes() -> None:
    """It multiplies the batch, and a number that does not fit stops the launch."""

    def rules(size: int) -> set[str]:
        overrides = {"devices_per_node": "4", "data_parallel_size": str(size)}
        return {finding.rule for finding in plan_from("tiny_cpu", overrides=overrides).findings}

    assert "world-size" not in rules(4)
    assert "world-size" in rules(3)
    assert Batch.of(config(), 4).sequences == 4 * Batch.of(config(), 1).sequences


@pytest.mark.honours("parallel.strategy", "deepspeed.enabled")
def test_the_strategy() -> None:
    one, two = World(), World(size=2)
    assert choose_strategy(config(), one) == "single"
    assert choose_strategy(config(), two) == "ddp"
    assert choose_strategy(config(strategy="ddp"), one) == "ddp"
    assert choose_strategy(config(strategy="fsdp"), two) == "fsdp"
    zero = Config.model_validate({"deepspeed": {"enabled": True}})
    assert choose_strategy(zero, one) == choose_strategy(zero, two) == "deepspeed"
    with pytest.raises(ConfigError, match="trains in one process, and there are 2"):
        choose_strategy(config(strategy="single"), two)


@pytest.mark.honours("parallel.backend")
def test_the_backend() -> None:
    assert choose_backend("auto", CPU) == "gloo"
    assert choose_backend("gloo", CPU) == "gloo"
    with pytest.raises(ConfigError, match="nccl"):
        choose_backend("nccl", CPU)
    with (
        pytest.raises(ConfigError, match="nccl"),
        open_world(config(strategy="ddp", backend="nccl"), CPU),
    ):
        pass
    if not torch.distributed.is_mpi_available():
        with pytest.raises(ConfigError, match="was built without"):
            choose_backend("mpi", CPU)
    gpu = torch.device("cuda", 0)
    assert choose_backend("gloo", gpu) == "cpu:gloo,cuda:gloo"
    if torch.distributed.is_nccl_available():
        assert choose_backend("auto", gpu) == "cpu:gloo,cuda:nccl"


@pytest.mark.honours("parallel.master_port", "parallel.launcher", "parallel.num_nodes")
def test_several_machines_meet_where_the_config_says(tmp_path: Path) -> None:
    told = {"num_nodes": 2, "devices_per_node": 4, "master_addr": "first", "master_port": 4711}
    plan = launch_plan(RunDir(tmp_path / "run"), {"parallel": told}, 3)
    assert plan.launcher == "torchrun"
    assert {"--nnodes=2", "--nproc-per-node=4", "--rdzv-endpoint=first:4711"} <= set(plan.argv)
    assert launch_plan(RunDir(tmp_path / "run"), {}, 1).launcher == "python"
    one = launch_plan(RunDir(tmp_path / "run"), {"parallel": {"launcher": "torchrun"}}, 1)
    assert one.launcher == "torchrun"


def test_processes_of_a_machine_share_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(environment.os, "sched_getaffinity", lambda _pid: set(range(8)))
    assert environment.choose_threads(config().run) == 8
    assert environment.choose_threads(config().run, 4) == 2
    assert environment.choose_threads(config().run, 99) == 1


def test_the_loss_of_a_peer_is_told_from_an_error_of_ones_own() -> None:
    gloo = "[…/gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:41"
    assert is_lost_peer(RuntimeError(gloo))
    assert not is_lost_peer(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_lost_peer(ValueError(gloo))
