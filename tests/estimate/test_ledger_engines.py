"""Engines and optimizers: the ledger against the tracer, which runs the trainer's own."""

from __future__ import annotations

import random
import statistics
import warnings
from typing import TYPE_CHECKING, NamedTuple

import pytest
import torch

from tests.amounts import seeds
from tests.estimate import engine_configs
from tests.estimate.test_ledger import GPU, LARGE, both
from workbench.estimate.exactness import why_rough
from workbench.estimate.memory import memory_of
from workbench.training.engines.deepspeed_start import load_deepspeed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from workbench.config.schema import Config

# DeepSpeed's imports, some of them late.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")

ENGINES: dict[str, Callable[[random.Random], Config]] = {
    **{
        f"optimizers, {name}": lambda rng, name=name: engine_configs.optimizers(rng, name)  # type: ignore[misc]
        for name in ("single", "ddp", "fsdp")
    },
    **{
        f"zero {stage}": lambda rng, stage=stage: engine_configs.zero(rng, stage)  # type: ignore[misc]
        for stage in range(4)
    },
    **{
        f"fsdp, {what}": lambda rng, what=what: engine_configs.fsdp(rng, what)  # type: ignore[misc]
        for what in engine_configs.FSDP
    },
    "zero 1, offload": lambda rng: engine_configs.zero(rng, 1, offload=True),
    "zero 2, offload": lambda rng: engine_configs.zero(rng, 2, offload=True),
    "zero 3, offload": lambda rng: engine_configs.zero(rng, 3, offload=True),
}
"""Generators by name. What goes to the host is compared on a CPU, whose memory is the host's."""


@pytest.fixture(autouse=True, scope="module")
def _deepspeed() -> None:
    with warnings.catch_warnings():  # of torch.jit, in DeepSpeed's own imports
        warnings.simplefilter("ignore")
        load_deepspeed(torch.device("cpu"))


class Error(NamedTuple):
    """A config's relative error, what is allowed, whether it is rough, and what it was."""

    error: float
    limit: float
    large: bool
    rough: bool
    what: str


def errors_of(engine: str, seeds: Iterable[int]) -> list[Error]:
    """The error of each config; plans that the estimate itself calls rough may be rough."""
    found = []
    for seed in seeds:
        rng = random.Random(f"{engine}-{seed}")
        on_host = "offload" in engine
        hardware = None if on_host else rng.choice([None, GPU])
        config = ENGINES[engine](rng)
        memory, truth = both(config, hardware)
        assert sum(line.bytes for line in memory.peak.lines()) == memory.allocated
        error = memory.allocated / truth - 1
        what = f"{engine} {seed}: {error:+.3%} of {truth}, peak at {memory.peak.name}"
        large = truth > LARGE
        limit = 0.005 if large else 0.05
        rough = why_rough(config)
        if rough is not None:
            limit = max(limit, rough.within)
        found.append(Error(abs(error), limit, large, rough is not None, what))
    return found


@pytest.mark.parametrize("engine", ENGINES)
def test_a_sample(engine: str) -> None:
    for each in errors_of(engine, range(2)):
        assert each.error <= each.limit, each.what


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_two_hundred(engine: str) -> None:
    found = [each for each in errors_of(engine, seeds(200)) if each.large]
    exact = [each.error for each in found if not each.rough]
    assert not exact or statistics.median(exact) <= 0.0005
    for each in found:
        assert each.error <= each.limit, each.what


def test_a_trace_of_stage_3_leaves_torch_as_it_was() -> None:
    before = torch.nn.functional.linear
    errors_of("zero 3", range(1))
    assert torch.nn.functional.linear is before


@pytest.mark.parametrize("engine", ENGINES)
def test_every_byte_has_a_line_with_its_source(engine: str) -> None:
    memory = memory_of(ENGINES[engine](random.Random(7)), GPU)
    for moment in memory.moments:
        lines = moment.lines()
        assert sum(line.bytes for line in lines) == moment.bytes
        assert all(line.name and line.formula and line.source for line in lines)
    for line in (*memory.process_lines, *memory.host, *memory.nvme, *memory.disk):
        assert line.name
        assert line.formula
        assert line.source
        assert line.bytes > 0


@pytest.mark.parametrize("engine", ENGINES)
def test_pools_hold_the_peak_and_the_process_holds_the_pools(engine: str) -> None:
    memory = memory_of(ENGINES[engine](random.Random(8)), GPU)
    assert memory.reserved is not None
    assert memory.process is not None
    assert memory.allocated <= memory.reserved < memory.process
    assert memory_of(ENGINES[engine](random.Random(8)), None).process is None


def plan(**sections: dict[str, object]) -> Config:
    from workbench.config.schema import Config

    model = {
        "hidden_size": 1024,
        "num_layers": 16,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "intermediate_size": 4096,
        "vocab_size": 32000,
    }
    training = {"batch_size": 1, "mixed_precision": "bf16", "gradient_accumulation_steps": 8}
    return Config.model_validate(
        {"model": model, "training": training, "data": {"max_length": 1024}, **sections}
    )


@pytest.mark.parametrize("kind", ["tensor", "pipeline", "context"])
def test_a_divided_model_takes_less_and_says_that_it_is_a_plan(kind: str) -> None:
    whole = memory_of(plan(parallel={"devices_per_node": 8}), GPU)
    degree = {"devices_per_node": 8, f"{kind}_parallel_size": 8}
    divided = memory_of(plan(parallel=degree), GPU)
    assert divided.allocated < whole.allocated
    assert "planned, not traced" in divided.notes[0]
    assert whole.notes == ()
    assert sum(line.bytes for line in divided.peak.lines()) == divided.allocated


def test_a_stage_keeps_the_activations_of_the_micro_batches_under_way() -> None:
    parallel = {"devices_per_node": 4, "pipeline_parallel_size": 4}
    lines = {line.name: line for line in memory_of(plan(parallel=parallel), GPU).peak.lines()}
    assert lines["activations of micro-batches under way"].formula.startswith("3 ×")


def test_offloaded_states_are_on_the_host_and_not_on_the_card() -> None:
    parallel = {"strategy": "fsdp", "devices_per_node": 4}
    here = memory_of(plan(parallel=parallel), GPU)
    there = memory_of(plan(parallel=parallel, fsdp={"cpu_offload": True}), GPU)
    states = 4 * here.ledger.net_numbers * (1 + 2 + 1)
    assert here.allocated - there.allocated == pytest.approx(states / 4, rel=0.01)
    checkpoint = "copy of weights and optimizer while a checkpoint is written"
    host = sum(line.bytes for line in there.host if line.name != checkpoint)
    assert host == pytest.approx(states, rel=0.01)


def test_checkpoints_are_counted_as_they_are_kept() -> None:
    training = {"save_total_limit": 2, "optimizer": "lion"}
    memory = memory_of(plan(training=training), GPU)
    numbers = memory.ledger.net_numbers
    assert sum(line.bytes for line in memory.disk) == 3 * (4 + 4) * numbers
    kept = plan(checkpointing={"memory_tier": {"enabled": True}, "asynchronous": False})
    assert [line.name for line in memory_of(kept, GPU).host] == ["memory tier"]


def test_weights_on_the_host_are_fetched_by_a_single_device_too() -> None:
    section = {"enabled": True, "zero_stage": 3, "cpu_offload": True}
    memory = memory_of(plan(deepspeed=section), GPU)
    fetched = max(
        line.bytes
        for moment in memory.moments
        for line in moment.lines()
        if line.name.startswith("weights, fetched")
    )
    assert fetched == pytest.approx(2 * memory.ledger.net_numbers, rel=0.05)
