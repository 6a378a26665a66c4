"""The tracer against the allocator of real steps: encoders, masks, dropout, eager attention."""

from __future__ import annotations

import random

import pytest
import torch

from tests.estimate.families import trained
from tests.estimate.test_tracer import real_peak
from workbench.training.tracer.trace import trace


def check(family: str, seed: int) -> tuple[float, str]:
    """The relative error on one config."""
    rng = random.Random(f"real-{family}-{seed}")
    config = trained(rng, family, "single")
    training = config.training
    kind = training.gradient_checkpointing_kind if training.gradient_checkpointing else "none"
    dtype = rng.choice([torch.float32, torch.bfloat16])
    traced = trace(config, compute_dtype=dtype, recompute=kind).peak
    real = real_peak(config, dtype, kind)
    error = abs(traced / real - 1)
    return error, f"{family} {seed}: {traced} traced, {real} real, {dtype}, {kind}"


@pytest.mark.parametrize("family", ["bert", "t5", "options"])
def test_a_real_step(family: str) -> None:
    error, what = check(family, 0)
    assert error <= 0.001, what


@pytest.mark.slow
@pytest.mark.parametrize("family", ["bert", "t5", "options"])
def test_ten_real_steps(family: str) -> None:
    for seed in range(100, 110):
        error, what = check(family, seed)
        assert error <= 0.001, what
