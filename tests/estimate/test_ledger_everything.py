"""The ledger beside the tracer on random configs of everything at once."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.amounts import seeds
from tests.estimate.agreement import errors, judge
from tests.estimate.everything import FAMILIES, anything

if TYPE_CHECKING:
    import random

    from workbench.config.schema import Config

STRATEGIES = ("single", "ddp")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_sample(strategy: str) -> None:
    errors("everything", anything, strategy, range(2))


@pytest.mark.parametrize("family", ["bert", "t5"])
def test_a_sample_with_adapters(family: str) -> None:
    errors("adapted", partial(anything, family=family, adapted=1.0), "single", range(1))


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_hundred_of_each_family(family: str, strategy: str) -> None:
    judge(errors("everything", partial(anything, family=family), strategy, seeds(100)))


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_a_hundred_with_adapters(family: str) -> None:
    found = []
    for seed in seeds(100):
        strategy = STRATEGIES[seed % len(STRATEGIES)]

        def make(rng: random.Random, strategy: str) -> Config:
            return anything(rng, strategy, family, adapted=1.0)

        found += errors("adapted", make, strategy, range(seed, seed + 1))
    judge(found)
