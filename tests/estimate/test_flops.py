"""FLOPs against torch's own counter: the built module, forward and backward, the same number.

What the counter counts: two FLOPs for each multiplication and addition of a matrix product, and
nothing else; attention as a full square, masked or not; the backward pass of a fused attention as
five products, because it makes the scores again. It has no formula for the CPU's fused attention:
it is given its own formula for CUDA's. `grouped_mm` has none either, so the experts go one by one.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import pytest
import torch
from ava_kernels.attention import causal_attention
from ava_kernels.grouped import grouped_matmul
from ava_kernels.grouped_swiglu import grouped_swiglu
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop, sdpa_flop

from tests.estimate import families
from tests.estimate.configs import decoder
from workbench.config.linears import groups_of
from workbench.config.schema import Config
from workbench.estimate.flops import Flops, flops_of, lengths_of
from workbench.models.base import Batch
from workbench.models.build import build_model
from workbench.models.lora import add_adapters
from workbench.training.objective import Objective

ATEN = torch.ops.aten
FUSED = {
    ATEN._scaled_dot_product_flash_attention_for_cpu: sdpa_flop.__wrapped__,
    ATEN._scaled_dot_product_flash_attention_for_cpu_backward: sdpa_backward_flop.__wrapped__,
}


@contextmanager
def one_by_one() -> Iterator[None]:
    """Kernels that are made of operations which the counter knows."""
    with (
        mock.patch.object(causal_attention, "implementations", causal_attention.implementations[-1:]),
        mock.patch.object(grouped_matmul, "implementations", grouped_matmul.implementations[-1:]),
        mock.patch.object(grouped_swiglu, "implementations", grouped_swiglu.implementations[-1:]),
    ):
        yield


def counted(config: Config) -> int:
    """What the counter shows for one micro-batch."""
    torch.manual_seed(0)
    training = config.training
    model = build_model(
        config.model,
        recompute=training.gradient_checkpointing_kind if training.gradient_checkpointing else "none",
        mtp=training.mtp if training.mtp.enabled else None,
    )
    for tensor in (*model.parameters(), *model.buffers()):
        torch.nn.init.normal_(tensor, std=0.02)
    if config.lora.enabled:
        add_adapters(model, config.lora)
    objective = Objective(model, training).train()
    write, read = lengths_of(config)
    batch, vocabulary = training.batch_size, config.model.vocab_size
    bert = config.model.model_type == "bert" and config.model.head != "language"
    targets = torch.randint(config.model.num_labels if bert else vocabulary, (batch, write))
    tokens = torch.randint(vocabulary, (batch, write))
    reads = config.model.model_type == "t5"
    given = Batch(
        tokens, targets, None, torch.randint(vocabulary, (batch, read)) if reads else None, None
    )
    with one_by_one(), FlopCounterMode(display=False, custom_mapping=FUSED) as counter:
        losses = objective(given)
        total = losses.loss_sum + losses.auxiliary
        if total.requires_grad:
            total.backward()
    return counter.get_total_flops()


def a_plan(rng: random.Random, model: dict[str, Any], **sections: Any) -> Config:
    training = {
        "batch_size": rng.choice([1, 2, 3]),
        "gradient_checkpointing": rng.random() < 0.5,
        "gradient_checkpointing_kind": rng.choice(["block", "block", "selective"]),
    } | sections.pop("training", {})
    data = {"max_length": rng.choice([2, 8, 24])} | sections.pop("data", {})
    model = model | {
        "vocab_size": rng.choice([50, 400]),
        "hidden_size": 32,
        "head_dim": 8,
        "intermediate_size": rng.choice([40, 64]),
        "max_position_embeddings": 64,
        "attention_implementation": rng.choice(["auto", "sdpa", "eager"]),
        "hidden_dropout": rng.choice([0.0, 0.0, 0.1]),
        "attention_dropout": rng.choice([0.0, 0.0, 0.1]),
    }
    return Config.model_validate(
        {"model": model, "training": training, "data": data, **sections}
    )


def dense(rng: random.Random) -> Config:
    return a_plan(rng, decoder(rng) | {"num_key_value_heads": None})


def grouped(rng: random.Random) -> Config:
    return a_plan(rng, decoder(rng) | {"num_attention_heads": 4, "num_key_value_heads": 2})


def mla(rng: random.Random) -> Config:
    return a_plan(rng, families.mla(rng))


def moe(rng: random.Random) -> Config:
    return a_plan(rng, families.moe(rng))


def mtp(rng: random.Random) -> Config:
    family = rng.choice([decoder, families.moe])
    return a_plan(rng, family(rng), training={"mtp": families.mtp(rng)}, data={"max_length": 8})


def bert(rng: random.Random) -> Config:
    return a_plan(rng, families.bert(rng))


def t5(rng: random.Random) -> Config:
    return a_plan(rng, families.t5(rng), data={"max_length": rng.choice([4, 12, 40])})


def lora(rng: random.Random) -> Config:
    family = rng.choice([decoder, families.moe, families.bert, families.t5, families.mla])
    config = a_plan(rng, family(rng))
    names = [
        group.prefix.format(place) + layer.name
        for group in groups_of(config.model)
        for place in group.places
        for layer in group.linears
    ]
    return config.model_copy(
        update={"lora": type(config.lora).model_validate(families.lora(rng, names))}
    )


FAMILIES = {each.__name__: each for each in (dense, grouped, mla, moe, mtp, bert, t5, lora)}


@pytest.mark.parametrize("family", FAMILIES)
def test_equal_to_the_counter(family: str) -> None:
    for seed in range(50):
        rng = random.Random(f"{family}-{seed}")
        config = FAMILIES[family](rng)
        found = flops_of(config, cpu=True, blocked=False)
        truth = counted(config)
        assert found.counted == truth, f"{family} {seed}: {found.counted - truth}"
