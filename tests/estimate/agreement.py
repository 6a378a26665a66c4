"""The ledger beside the tracer on random configs of a family."""

from __future__ import annotations

import random
import statistics

from tests.estimate.families import trained
from tests.estimate.test_ledger import GPU, LARGE, both

STRATEGIES = ("single", "ddp", "fsdp")


def errors(family: str, seeds: range) -> list[float]:
    """Relative errors of the peaks above 50 MiB; seeds take the strategies in turn."""
    found = []
    for seed in seeds:
        strategy = STRATEGIES[seed % len(STRATEGIES)]
        rng = random.Random(f"{family}-{strategy}-{seed}")
        hardware = rng.choice([None, GPU])
        config = trained(rng, family, strategy)
        memory, truth = both(config, hardware)
        assert sum(line.bytes for line in memory.peak.lines()) == memory.allocated
        error = memory.allocated / truth - 1
        if truth > LARGE:
            found.append(abs(error))
        # A toy of a few MiB is mostly what a ledger leaves out: buffers of a few kB.
        limit = 0.005 if truth > LARGE else 0.05
        assert abs(error) < limit, (
            f"{family} {strategy} {seed}: {error:+.3%}, peak at {memory.peak.name}"
        )
    return found


def agree(family: str, seeds: range) -> None:
    """The ledger is the tracer's: a median of 0.05 % at most, and never more than 0.5 %."""
    found = errors(family, seeds)
    assert found, "no config is large enough to judge"
    assert statistics.median(found) <= 0.0005
    assert max(found) <= 0.005
