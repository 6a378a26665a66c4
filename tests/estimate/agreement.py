"""How far the ledger is from the tracer on random configs of a family."""

from __future__ import annotations

import random
import statistics
from typing import TYPE_CHECKING

from tests.estimate.test_ledger import GPU, LARGE, both

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.config.schema import Config

    Make = Callable[[random.Random, str], Config]

TOYS = {"single": 0.02, "ddp": 0.02, "fsdp": 0.05}
"""Largest error of a peak below 50 MiB: scalars count there, and under fsdp with frozen or latent
weights a tensor or two of the residual stream."""


def errors(family: str, make: Make, strategy: str, seeds: range) -> list[float]:
    """Relative errors of the peaks above 50 MiB; every peak is made of named lines.

    Args:
        family: Name of the family, part of the seed.
        make: Makes a config for a strategy.
        strategy: ``single``, ``ddp`` or ``fsdp``.
        seeds: Which configs.
    """
    found = []
    for seed in seeds:
        rng = random.Random(f"{family}-{strategy}-{seed}")
        hardware = rng.choice([None, GPU])
        config = make(rng, strategy)
        memory, truth = both(config, hardware)
        assert sum(line.bytes for line in memory.peak.lines()) == memory.allocated
        error = memory.allocated / truth - 1
        if truth > LARGE:
            found.append(abs(error))
        limit = 0.005 if truth > LARGE else TOYS[strategy]
        assert abs(error) <= limit, f"{strategy} {seed}: {error:+.3%}, peak at {memory.peak.name}"
    return found


def judge(found: list[float]) -> None:
    """Many configs: the median is far below the largest error."""
    if not found:
        return
    assert statistics.median(found) <= 0.0005
    assert max(found) <= 0.005
