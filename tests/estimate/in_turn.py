"""The ledger beside the tracer on random configs that take the strategies in turn."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from tests.estimate.agreement import errors
from tests.estimate.families import trained

if TYPE_CHECKING:
    import random

    from workbench.config.schema import Config

STRATEGIES = ("single", "ddp", "fsdp")


def agree(family: str, seeds: range) -> None:
    """The ledger is the tracer's: a median of 0.05 % at most, and never more than 0.5 %."""

    def make(rng: random.Random, strategy: str) -> Config:
        return trained(rng, family, strategy)

    found = []
    for seed in seeds:
        strategy = STRATEGIES[seed % len(STRATEGIES)]
        found += errors(family, make, strategy, range(seed, seed + 1))
    assert found, "no config is large enough to judge"
    assert statistics.median(found) <= 0.0005
    assert max(found) <= 0.005
