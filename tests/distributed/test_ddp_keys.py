"""What ``parallel`` changes about copies of the model, on rank 0 of four processes that are only
pretended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch.testing._internal.distributed.fake_pg import FakeStore

from workbench.config.schema import Config
from workbench.models.base import Batch
from workbench.models.build import build_model
from workbench.models.init import init_weights
from workbench.training.distributed import World
from workbench.training.engines.ddp import DdpEngine
from workbench.training.objective import Objective

# Wide enough that its gradients do not fit into DDP's first bucket of 1 MiB.
MODEL = {
    "hidden_size": 256, "num_layers": 2, "num_attention_heads": 2, "intermediate_size": 256,
    "hidden_dropout": 0.0,
}  # fmt: skip
TOKENS = torch.arange(8)[None]


@pytest.fixture
def four() -> Iterator[None]:
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=4)
    yield
    dist.destroy_process_group()


def make(**parallel: Any) -> tuple[DdpEngine, list[int]]:
    """The engine, and a list that grows by the number of gradients in each exchange."""
    config = Config.model_validate(
        {"model": MODEL, "parallel": {"devices_per_node": 4, **parallel}}
    )
    with torch.device("meta"):
        model = build_model(config.model)
    model.to_empty(device="cpu")
    init_weights(model, 1)
    engine = DdpEngine(
        Objective(model, config.training), config, torch.device("cpu"), World(size=4, local_size=4)
    )
    exchanged: list[int] = []

    def hook(_state: None, bucket: dist.GradBucket) -> torch.futures.Future[torch.Tensor]:
        exchanged.append(len(bucket.gradients()))
        done: torch.futures.Future[torch.Tensor] = torch.futures.Future()
        done.set_result(bucket.buffer() / 4)
        return done

    hook.__annotations__.clear()  # DDP compares them with its classes, and here they are texts
    engine.wrapped.register_comm_hook(None, hook)
    return engine, exchanged


@pytest.mark.usefixtures("four")
@pytest.mark.honours("parallel.overlap_grad_reduce")
def test_gradients_travel_during_the_backward_pass_or_all_at_its_end() -> None:
    batch = Batch(TOKENS, TOKENS)
    exchanges = {}
    for overlap in (True, False):
        engine, exchanged = make(overlap_grad_reduce=overlap)
        for _ in range(2):  # DDP settles its buckets after the first backward pass
            exchanged.clear()
            engine.accumulate(batch, targets=8, last=True)
        exchanges[overlap] = list(exchanged)
    parameters = sum(exchanges[False])
    assert exchanges[False] == [parameters], "one exchange of everything"
    assert len(exchanges[True]) > 1
    assert sum(exchanges[True]) == parameters


@pytest.mark.usefixtures("four")
def test_micro_batches_are_exchanged_once_per_step() -> None:
    engine, exchanged = make()
    batch = Batch(TOKENS, TOKENS)
    engine.accumulate(batch, targets=16, last=False)
    assert exchanged == []
    engine.accumulate(batch, targets=16, last=True)
    assert exchanged


@pytest.mark.usefixtures("four")
def test_the_gradient_is_a_sum_and_no_mean_over_devices() -> None:
    """Others send nothing here, so the mean of four is a quarter of ours, and the sum is ours."""
    batch = Batch(TOKENS, TOKENS)
    engine, _ = make()
    engine.accumulate(batch, targets=8, last=True)
    found = [p.grad.clone() for p in engine.model.parameters() if p.grad is not None]
    engine.discard_gradients()
    losses = engine.objective(batch)
    (losses.loss_sum / 8).backward()  # type: ignore[no-untyped-call]
    for ours, parameter in zip(found, engine.model.parameters(), strict=True):
        torch.testing.assert_close(ours, parameter.grad)
