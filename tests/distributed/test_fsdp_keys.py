"""What each key of ``fsdp`` changes, on rank 0 of four processes that are only pretended: the
collectives do nothing, but what is cut and where it lies is real."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch.distributed.fsdp import CPUOffloadPolicy, FSDPModule
from torch.distributed.tensor import DTensor
from torch.testing._internal.distributed.fake_pg import FakeStore

from workbench.config.schema import Config
from workbench.models.base import Batch
from workbench.models.build import build_model
from workbench.models.init import init_weights
from workbench.training.distributed import World
from workbench.training.engines.fsdp import FsdpEngine
from workbench.training.objective import Objective

WORLD = World(rank=0, size=4, local_rank=0, local_size=2)


@pytest.fixture
def four() -> Iterator[None]:
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=4)
    yield
    dist.destroy_process_group()


def make(dtype: torch.dtype = torch.float32, **fsdp: Any) -> FsdpEngine:
    config = Config.model_validate({
        "model": {
            "hidden_size": 16, "num_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
            "num_experts": 4,
        },
        "parallel": {"strategy": "fsdp", "num_nodes": 2, "devices_per_node": 2},
        "fsdp": fsdp,
    })  # fmt: skip
    with torch.device("meta"):
        model = build_model(config.model, compute_dtype=dtype)
    model.to_empty(device="cpu")
    init_weights(model, 1)
    return FsdpEngine(Objective(model, config.training), config, torch.device("cpu"), WORLD)


def rows(engine: FsdpEngine) -> tuple[int, int]:
    """Rows of the embedding on this process, and in all."""
    weight = engine.model.get_parameter("embedding")
    assert isinstance(weight, DTensor)
    return len(weight.to_local()), len(weight)


def state_of(module: torch.nn.Module) -> Any:
    assert isinstance(module, FSDPModule)
    group = module._get_fsdp_state()._fsdp_param_group
    assert group is not None
    return group


@pytest.mark.usefixtures("four")
@pytest.mark.honours("fsdp.sharding_strategy")
@pytest.mark.parametrize(
    ("strategy", "share"), [("full", 4), ("hybrid", 2), ("shard_grad_op", 4), ("no_shard", 1)]
)
def test_the_strategy_decides_how_many_share_a_weight(strategy: str, share: int) -> None:
    engine = make(sharding_strategy=strategy)
    mine, all_rows = rows(engine)
    assert mine * share == all_rows
    optimizer_rows = len(engine.optimizer.param_groups[0]["params"][0].to_local())
    assert optimizer_rows * share == all_rows
    kept = state_of(engine.model.block_list()[0])._reshard_after_forward
    assert kept == (strategy != "shard_grad_op")


@pytest.mark.usefixtures("four")
@pytest.mark.honours("fsdp.reshard_after_forward")
@pytest.mark.parametrize("reshard", [True, False])
def test_blocks_give_their_weights_back_or_keep_them(*, reshard: bool) -> None:
    engine = make(reshard_after_forward=reshard)
    tokens = torch.zeros(1, 8, dtype=torch.int64)
    engine.losses(Batch(tokens, tokens))
    groups = [state_of(block) for block in engine.model.block_list()]
    assert [group.is_sharded for group in groups] == [reshard] * 2


@pytest.mark.usefixtures("four")
@pytest.mark.honours("fsdp.cpu_offload")
def test_offloaded_weights_stay_on_the_host() -> None:
    policy = state_of(make(cpu_offload=True).model.block_list()[0]).offload_policy
    assert isinstance(policy, CPUOffloadPolicy)
    assert policy.pin_memory is False, "there is no GPU to pin for"
    assert not isinstance(state_of(make().model.block_list()[0]).offload_policy, CPUOffloadPolicy)


@pytest.mark.usefixtures("four")
@pytest.mark.honours("fsdp.param_dtype", "fsdp.reduce_dtype")
def test_formats_of_what_travels() -> None:
    def formats(engine: FsdpEngine) -> tuple[Any, Any]:
        policy = state_of(engine.model.block_list()[0]).mp_policy
        return policy.param_dtype, policy.reduce_dtype

    assert formats(make(torch.bfloat16)) == (torch.bfloat16, torch.float32)
    assert formats(make(torch.bfloat16, param_dtype="fp32")) == (torch.float32, torch.float32)
    assert formats(make(reduce_dtype="bf16")) == (torch.float32, torch.bfloat16)
    engine = make(torch.bfloat16)
    assert state_of(engine.objective).mp_policy.param_dtype is None, "the loss adds up in fp32"
    router = engine.model.get_submodule("blocks.0.feed_forward.router")
    assert state_of(router).mp_policy.param_dtype is None, "a rounded logit can change the choice"
