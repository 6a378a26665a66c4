"""The ledger against the tracer: the same bytes, and every one of them in a line."""

from __future__ import annotations

import random
import statistics
from pathlib import Path

import pytest
import torch

from tests.amounts import seeds
from tests.estimate.configs import config as random_config
from workbench.config.profile import HardwareProfile
from workbench.config.schema import Config
from workbench.estimate.estimate import Estimate
from workbench.estimate.memory import Memory, memory_of
from workbench.hardware.devices import device
from workbench.training.tracer.trace import trace

LARGE = 50 * 2**20
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
GPU = device("h100_80gb")


def both(config: Config, hardware: HardwareProfile | None) -> tuple[Memory, int]:
    """The ledger's memory and the tracer's peak."""
    memory = memory_of(config, hardware)
    traced = trace(
        config,
        compute_dtype=DTYPES[memory.setting.precision],
        recompute=memory.setting.recompute,
        cpu=memory.setting.cpu,
    )
    return memory, traced.peak


def compare(strategy: str, seeds: range) -> list[float]:
    """Relative errors of the peaks above 50 MiB."""
    errors = []
    for seed in seeds:
        rng = random.Random(f"{strategy}-{seed}")
        hardware = rng.choice([None, GPU])
        config = random_config(rng, strategy)
        memory, truth = both(config, hardware)
        assert sum(line.bytes for line in memory.peak.lines()) == memory.allocated
        error = memory.allocated / truth - 1
        if truth > LARGE:
            errors.append(abs(error))
        assert abs(error) < 0.02, f"{strategy} {seed}: {error:+.3%}, peak at {memory.peak.name}"
    return errors


@pytest.mark.parametrize("strategy", ["single", "ddp", "fsdp"])
def test_a_sample_of_configs(strategy: str) -> None:
    errors = compare(strategy, range(5))
    assert errors, "no config of the sample is large enough to judge"
    assert max(errors) <= 0.005


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["single", "ddp", "fsdp"])
def test_two_hundred_configs(strategy: str) -> None:
    errors = compare(strategy, seeds(200))
    assert statistics.median(errors) <= 0.0005
    assert max(errors) <= 0.005


def test_every_moment_is_made_of_named_lines() -> None:
    memory = memory_of(random_config(random.Random(1), "fsdp"), GPU)
    for moment in memory.moments:
        lines = moment.lines()
        assert sum(line.bytes for line in lines) == moment.bytes
        assert sum(moment.by_category().values()) == moment.bytes
        assert all(line.name and line.formula and line.source for line in lines)


def test_deeper_by_a_block_is_larger_by_a_block() -> None:
    plain = random_config(random.Random(2), "single").model_dump(mode="json")

    def peak(layers: int) -> dict[str, int]:
        tree = plain | {"model": plain["model"] | {"num_layers": layers}}
        moments = memory_of(Config.model_validate(tree), GPU).moments
        return {moment.name: moment.bytes for moment in moments}

    assert peak(41)["loss"] - peak(40)["loss"] == peak(81)["loss"] - peak(80)["loss"]


def test_an_estimate_is_data_for_programs() -> None:
    data = Estimate.of(random_config(random.Random(3), "ddp"), GPU).to_dict()
    peak = data["memory"]["peak"]
    assert sum(line["bytes"] for line in peak["lines"]) == peak["bytes"]
    assert data["memory"]["capacity"] == 80 * 2**30


def test_the_ledger_knows_no_torch() -> None:
    root = Path(__file__).parents[2] / "workbench" / "estimate"
    for path in root.rglob("*.py"):
        assert "import torch" not in path.read_text()
