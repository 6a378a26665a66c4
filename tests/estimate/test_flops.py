"""FLOPs against torch's own counter: the built module, forward and backward, the same number.

What the counter counts: two FLOPs for each multiplication and addition of a matrix product, and
nothing else; attention as a full square, masked or not; the backward pass of a fused attention as
five products, because it makes the scores again. It has no formula for the CPU's fused attention:
it is given its own formula for CUDA's. `grouped_mm` has none either, so the experts go one by one.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import pytest
import torch
from ava_kernels.attention import causal_attention
from ava_kernels.grouped import grouped_matmul
from ava_kernels.grouped_swiglu import grouped_swiglu
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop, sdpa_flop

from tests.amounts import times
from tests.estimate import families
from tests.estimate.configs import decoder
from workbench.config.linears import groups_of
from workbench.config.schema import Config
from workbench.estimate.flops import flops_of
from workbench.estimate.network.lengths import lengths_of
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
    with ExitStack() as stack:
        for each in (causal_attention, grouped_matmul, grouped_swiglu):
            plainest = each.implementations[-1:]
            stack.enter_context(mock.patch.object(each, "implementations", plainest))
        yield


def counted(config: Config) -> int:
    """What the counter shows for one micro-batch."""
    torch.manual_seed(0)
    training = config.training
    recompute = training.gradient_checkpointing_kind
    model = build_model(
        config.model,
        recompute=recompute if training.gradient_checkpointing else "none",
        mtp=training.mtp if training.mtp.enabled else None,
    )
    for tensor in (*model.parameters(), *model.buffers()):
        torch.nn.init.normal_(tensor, std=0.02)
    if config.lora.enabled:
        add_adapters(model, config.lora)
    objective = Objective(model, training).train()
    write, read = lengths_of(config)[:2]
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
    return Config.model_validate({"model": model, "training": training, "data": data, **sections})


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


def compare(family: str, seeds: range) -> None:
    for seed in seeds:
        config = FAMILIES[family](random.Random(f"{family}-{seed}"))
        found, truth = flops_of(config, cpu=True, blocked=False), counted(config)
        assert found.counted == truth, f"{family} {seed}: {found.counted - truth} too many"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_sample_equals_the_counter(family: str) -> None:
    compare(family, range(6))


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_sixty_configs_equal_the_counter(family: str) -> None:
    compare(family, range(6, 6 + times(60)))


def llama_8b(**training: Any) -> Config:
    model = {
        "hidden_size": 4096,
        "num_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "intermediate_size": 14336,
        "vocab_size": 128256,
        "tie_word_embeddings": False,
        "max_position_embeddings": 8192,
    }
    given = {"batch_size": 1, "mixed_precision": "bf16"} | training
    return Config.model_validate({"model": model, "training": given, "data": {"max_length": 8192}})


def test_model_flops_are_those_of_the_literature() -> None:
    """PaLM, appendix B: 6 N + 12 L H Q T per token, N without the embedding's lookup."""
    found = flops_of(llama_8b())
    norms = 65 * 4096
    n = 8_030_261_248 - 128256 * 4096 - norms
    assert found.model == 8192 * (6 * n + 12 * 32 * 32 * 128 * 8192)
    assert found.model == 3 * found.forward
    assert sum(flops for _, flops in found.parts) == found.forward + found.backward


def test_causal_attention_is_half_of_the_square_where_the_kernel_skips() -> None:
    found = flops_of(llama_8b())
    square = 2 * 8192 * 8192 * 32 * 128 * 2 * 32  # scores and sums, all layers
    forward, backward = square, square * 5 // 2
    skipped = 1 - (8192 + 1) / (2 * 8192)
    assert found.counted - found.hardware == round((forward + backward) * skipped)


def test_recomputation_is_no_work_of_the_model() -> None:
    plain, again = flops_of(llama_8b()), flops_of(llama_8b(gradient_checkpointing=True))
    assert plain.model == again.model
    assert plain.recomputed == 0 < again.recomputed < again.forward
    kept = flops_of(llama_8b(gradient_checkpointing=True, gradient_checkpointing_kind="selective"))
    assert kept.recomputed == 0, "matrix products and attention are kept"


def test_accumulation_and_devices_multiply() -> None:
    one = flops_of(llama_8b())
    parallel = {"devices_per_node": 8}
    tree = llama_8b(gradient_accumulation_steps=3).model_dump(mode="json") | {"parallel": parallel}
    many = flops_of(Config.model_validate(tree))
    assert many.model == 24 * one.model
    assert many.per_token == one.per_token


def test_frozen_matrices_have_no_gradient() -> None:
    tree = llama_8b().model_dump(mode="json") | {"lora": {"enabled": True, "r": 1}}
    full, thin = flops_of(llama_8b()), flops_of(Config.model_validate(tree))
    whole, frozen = dict(full.parts), dict(thin.parts)
    assert frozen["feed-forward"] * 3 == whole["feed-forward"] * 2
    assert frozen["adapters"] > 0
