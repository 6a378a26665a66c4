"""Random configs of FSDP over every family, the same ones for the same seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.estimate import engine_configs, families, shapes
from tests.estimate.configs import config as plain_config
from workbench.config.schema import Config

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

FAMILIES: dict[str, Callable[[random.Random], Config]] = {
    "dense": lambda rng: plain_config(rng, "fsdp"),
    "moe": lambda rng: shapes.moe_config(rng, "fsdp"),
    "mla": lambda rng: shapes.mla_config(rng, "fsdp"),
    "lora": lambda rng: shapes.lora_config(rng, "fsdp"),
    "mtp": lambda rng: shapes.mtp_config(rng, "fsdp"),
    "bert": lambda rng: families.trained(rng, "bert", "fsdp"),
    "t5": lambda rng: families.trained(rng, "t5", "fsdp"),
    "options": lambda rng: families.trained(rng, "options", "fsdp"),
    "optimizers": lambda rng: engine_configs.optimizers(rng, "fsdp"),
}
"""Generators by name."""

_STRATEGIES = ("full", "hybrid", "no_shard", "shard_grad_op")


def anyhow(rng: random.Random, family: str) -> Config:
    """A config of a family, sharded, fetched, reduced and recomputed in any way."""
    tree = FAMILIES[family](rng).model_dump(mode="json")
    section, training = tree["fsdp"], tree["training"]
    section["sharding_strategy"] = rng.choice(_STRATEGIES)
    if section["sharding_strategy"] == "hybrid":
        tree["parallel"]["num_nodes"] = 2
    section["reshard_after_forward"] = rng.random() < 0.6
    section["reduce_dtype"] = rng.choice(["fp32", "fp32", "bf16"])
    section["param_dtype"] = rng.choice([None, None, "fp32", "bf16"])
    section["cpu_offload"] = rng.random() < 0.25
    training["mixed_precision"] = rng.choice(["no", "bf16", "bf16", "fp16"])
    kind = rng.choice(["none", "none", "block", "selective"])
    training["gradient_checkpointing"] = kind != "none"
    if kind != "none":
        training["gradient_checkpointing_kind"] = kind
    section["offload_activations"] = rng.random() < 0.25
    return Config.model_validate(tree)
