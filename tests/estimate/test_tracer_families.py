"""The tracer against the allocator of real steps: encoders, masks, dropout, eager attention."""

from __future__ import annotations

import random

import pytest
import torch

from tests.estimate.accepted import FAMILIES, accepted
from tests.estimate.families import trained
from tests.estimate.test_tracer import real_peak
from workbench.config.schema import Config
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


def test_selective_recomputation_with_learned_distances() -> None:
    """No kernel takes a mask that learns: scores, and what finds rows that see nothing."""
    shape = {"model_type": "t5", "hidden_size": 64, "num_layers": 1, "num_attention_heads": 4}
    training = {"batch_size": 1, "mixed_precision": "no"}
    tree = {"model": shape, "training": training, "data": {"max_length": 300}}
    config = Config.model_validate(tree)
    traced = trace(config, recompute="selective").peak
    assert traced == pytest.approx(real_peak(config, torch.float32, "selective"), rel=2e-4)


def small(rng: random.Random, family: str, dtype: torch.dtype) -> Config:
    """Whatever the schema accepts that takes a CPU some seconds and needs no GPU."""
    while True:
        config = accepted(rng, "single", family)
        model, training = config.model, config.training
        tokens = config.data.max_length * training.batch_size
        # What weights of 16 bits lack is not where `real_peak` looks for it.
        apart = training.split_weights or training.kahan_summation or training.use_ema
        if apart or tokens > 1600 or model.hidden_size > 512 or training.optimizer == "adamw_8bit":
            continue
        if model.attention_implementation != "flash" and not training.stochastic_rounding:
            precision = "no" if dtype == torch.float32 else "bf16"
            tree = config.model_dump(mode="json")
            tree["training"]["mixed_precision"] = precision
            return Config.model_validate(tree)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_real_steps_of_what_the_schema_accepts(family: str) -> None:
    for seed in range(2):
        rng = random.Random(f"real-accepted-{family}-{seed}")
        dtype = rng.choice([torch.float32, torch.bfloat16])
        config = small(rng, family, dtype)
        training = config.training
        kind = training.gradient_checkpointing_kind if training.gradient_checkpointing else "none"
        traced = trace(config, compute_dtype=dtype, recompute=kind).peak
        real = real_peak(config, dtype, kind)
        # A trace gives all experts as many rows; what a router gives them shows in a tiny network.
        most = 0.01 if config.model.num_experts > 1 else 0.001
        assert abs(traced / real - 1) <= most, f"{seed}: {traced} traced, {real} real, {dtype}"
