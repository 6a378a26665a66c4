"""The ledger beside the tracer on configs that the schema accepts, and on what they have found."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from tests.amounts import seeds
from tests.estimate.accepted import FAMILIES, accepted
from tests.estimate.agreement import errors, judge
from tests.estimate.test_ledger import GPU, both
from workbench.config.schema import Config

STRATEGIES = ("single", "ddp", "fsdp")


@pytest.mark.parametrize(
    ("strategy", "family"), [("single", "moe"), ("ddp", "mla"), ("fsdp", "t5")]
)
def test_a_sample(strategy: str, family: str) -> None:
    errors(f"accepted-{family}", partial(accepted, family=family), strategy, range(1))


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("family", FAMILIES)
def test_two_hundred_of_each_family(family: str, strategy: str) -> None:
    judge(errors(f"accepted-{family}", partial(accepted, family=family), strategy, seeds(200)))


SHAPE = {"hidden_size": 128, "num_attention_heads": 4, "num_layers": 2, "intermediate_size": 256}
SHARDED = {"strategy": "fsdp", "devices_per_node": 2}
MLA = {
    "enabled": True, "kv_lora_rank": 32, "qk_nope_head_dim": 32, "qk_rope_head_dim": 16,
    "v_head_dim": 64,
}  # fmt: skip
AWAY = {"offload_activations": True}
FOUND: dict[str, tuple[bool, dict[str, Any]]] = {
    "classes of words": (
        True,
        {
            "model": {"model_type": "bert", "head": "token_classification"},
            "data": {"format": "token_classification"},
        },
    ),
    "shards on the host": (
        True,
        {
            "model": {"num_experts": 3, "moe_balancing": {"method": "loss_free"}},
            "training": {"use_ema": True, "gradient_accumulation_steps": 2},
            "parallel": SHARDED,
            "fsdp": {"cpu_offload": True},
        },
    ),
    "strategy of several devices on one": (False, {"parallel": {"strategy": "ddp"}}),
    "latent attention whose values fit no kernel": (
        True,
        {"model": {"mla": MLA | {"v_head_dim": 12}}, "training": {"gradient_checkpointing": True}},
    ),
    "the same with distances and adapters": (
        False,
        {
            "model": {"mla": MLA, "position_embedding_type": "alibi"},
            "training": {"mixed_precision": "no"},
            "lora": {"enabled": True, "target_modules": ["o_proj"]},
        },
    ),
    "experts that no kernel takes together": (
        True,
        {
            "model": {"num_experts": 6, "moe": {"expert_intermediate_size": 129}},
            "training": {"batch_size": 3},
        },
    ),
    "activations of experts on the host": (
        False,
        {
            "model": {"num_experts": 4, "hidden_act": "relu", "moe": {"num_shared_experts": 1}},
            "parallel": SHARDED,
            "fsdp": AWAY,
        },
    ),
    "a mask of all heads on the host": (
        True,
        {
            "model": {"mla": MLA},
            "training": {"mixed_precision": "no"},
            "data": {"packing": "none"},
            "parallel": SHARDED,
            "fsdp": AWAY,
        },
    ),
    "learned distances on the host": (
        True,
        {"model": {"model_type": "t5"}, "parallel": SHARDED, "fsdp": AWAY},
    ),
    "norms on the host": (
        False,
        {
            "model": {"model_type": "bert", "norm_type": "layernorm"},
            "parallel": SHARDED,
            "fsdp": AWAY,
        },
    ),
    "one step of Adafactor": (
        False,
        {
            "model": {"hidden_size": 512, "intermediate_size": 4096},
            "training": {"optimizer": "adafactor", "batch_size": 1},
            "data": {"max_length": 16},
        },
    ),
}
"""Whether on a GPU, and the config: each was more than half a per cent off once."""


@pytest.mark.parametrize("name", FOUND)
def test_what_was_found(name: str) -> None:
    gpu, sections = FOUND[name]
    tree: dict[str, Any] = {
        "model": SHAPE | {"num_experts_per_token": 2 if "experts" in name else 1},
        "training": {"mixed_precision": "bf16", "batch_size": 4},
        "data": {"max_length": 256},
    }
    for section, values in sections.items():
        tree[section] = tree.get(section, {}) | values
    memory, truth = both(Config.model_validate(tree), GPU if gpu else None)
    assert abs(memory.allocated / truth - 1) <= 0.002
