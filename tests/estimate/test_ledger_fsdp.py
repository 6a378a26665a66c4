"""FSDP of every family, sharded and reduced in every way: the ledger against the tracer."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from tests.amounts import seeds
from tests.estimate.agreement import judge
from tests.estimate.fsdp_configs import FAMILIES, anyhow
from tests.estimate.test_ledger import GPU, LARGE, both
from workbench.config.schema import Config
from workbench.estimate.memory import memory_of

if TYPE_CHECKING:
    from collections.abc import Iterable

TOYS = 0.015
"""Largest error of a peak below 50 MiB: there a rounded-up scalar counts."""


def errors(family: str, which: Iterable[int]) -> list[float]:
    """Relative errors of the peaks above 50 MiB.

    What goes to the host is compared on a CPU, whose memory is the host's.
    """
    found = []
    for seed in which:
        rng = random.Random(f"fsdp-{family}-{seed}")
        config = anyhow(rng, family)
        hardware = None if config.fsdp.cpu_offload else rng.choice([None, GPU])
        memory, truth = both(config, hardware)
        assert sum(line.bytes for line in memory.peak.lines()) == memory.allocated
        error = memory.allocated / truth - 1
        if truth > LARGE:
            found.append(abs(error))
        limit = 0.005 if truth > LARGE else TOYS
        assert abs(error) <= limit, f"{family} {seed}: {error:+.3%}, peak at {memory.peak.name}"
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_a_sample(family: str) -> None:
    errors(family, range(1))


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_two_hundred(family: str) -> None:
    judge(errors(family, seeds(200)))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_byte_of_every_moment_has_a_line(family: str) -> None:
    for moment in memory_of(anyhow(random.Random(5), family), GPU).moments:
        lines = moment.lines()
        assert sum(line.bytes for line in lines) == moment.bytes
        assert all(line.name and line.formula and line.source for line in lines)


def test_compiled_sums_are_the_same() -> None:
    config = anyhow(random.Random(6), "moe")
    first = [each.bytes for each in memory_of(config, GPU).moments]
    for _ in range(5):
        again = [each.bytes for each in memory_of(config, GPU).moments]
    assert again == first


def plan(**fsdp: object) -> Config:
    """A decoder on 8 devices."""
    return Config.model_validate(
        {
            "model": {"hidden_size": 1024, "num_layers": 8, "num_attention_heads": 16},
            "training": {"batch_size": 4, "mixed_precision": "bf16"},
            "data": {"max_length": 1024},
            "parallel": {"strategy": "fsdp", "devices_per_node": 8},
            "fsdp": fsdp,
        }
    )


def test_activations_on_the_host_leave_the_card_and_are_pinned_there() -> None:
    here, there = memory_of(plan(), GPU), memory_of(plan(offload_activations=True), GPU)
    assert there.allocated < 0.6 * here.allocated
    lines = {line.name: line.bytes for line in there.host}
    assert sum(lines.values()) > here.allocated - there.allocated
    assert any(name.startswith("activations, pinned") for name in lines)
    assert not any(line.name.startswith("activations") for line in here.host)


def test_which_activations_are_worth_moving_depends_on_their_size() -> None:
    rng = random.Random(1)
    for length in (16, 48, 16, 600):
        tree = plan(offload_activations=True).model_dump(mode="json")
        tree["data"]["max_length"] = length
        tree["model"] |= {"hidden_size": 128, "num_attention_heads": 4, "num_layers": 2}
        memory, truth = both(Config.model_validate(tree), rng.choice([None, GPU]))
        assert abs(memory.allocated / truth - 1) <= 0.01, length


def test_a_fetched_format_of_the_same_width_is_cast_before_it_is_used() -> None:
    tree = plan(param_dtype="bf16").model_dump(mode="json")
    same = memory_of(Config.model_validate(tree), GPU).allocated
    tree["training"]["mixed_precision"] = "fp16"
    assert memory_of(Config.model_validate(tree), GPU).allocated > same
