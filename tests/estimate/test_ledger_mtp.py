"""Heads for later tokens: the ledger against the tracer."""

from __future__ import annotations

import pytest

from tests.amounts import seeds
from tests.estimate.agreement import errors, judge
from tests.estimate.shapes import mtp_config

STRATEGIES = ["single", "ddp", "fsdp"]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_sample_of_configs(strategy: str) -> None:
    errors("mtp", mtp_config, strategy, range(2))


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_hundred_configs(strategy: str) -> None:
    judge(errors("mtp", mtp_config, strategy, seeds(50)))
