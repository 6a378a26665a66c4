"""Random configs of mixtures, latent attention, adapters and heads for later tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.estimate.configs import decoder
from workbench.config.schema import Config

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    Shape = Callable[[random.Random], dict[str, Any]]


def experts(rng: random.Random) -> dict[str, Any]:
    """What a mixture of experts adds to a decoder."""
    number = rng.choice([2, 4, 8, 12])
    choices = rng.choice([n for n in (1, 2, 3) if n <= number])
    groups = rng.choice([1, 1, 2]) if number > 2 else 1
    return {
        "num_experts": number,
        "num_experts_per_token": choices,
        "router_type": "switch" if choices == 1 and rng.random() < 0.5 else "topk",
        "expert_capacity_factor": rng.choice([None, None, 0.7, 1.25]),
        "router_z_loss_coef": rng.choice([0.0, 0.001]),
        "router_jitter_noise": rng.choice([0.0, 0.0, 0.01]),
        "expert_dropout": rng.choice([0.0, 0.0, 0.1]),
        "moe": {
            "expert_intermediate_size": rng.choice([None, 64, 200, 512]),
            "num_shared_experts": rng.choice([0, 1, 2]),
            "shared_intermediate_size": rng.choice([None, 96]),
            "dense_layer_interval": rng.choice([None, None, 2]),
            "num_dense_layers": rng.choice([0, 0, 1]),
            "num_expert_groups": groups,
            "num_limited_groups": groups,
            "score_function": rng.choice(["softmax", "sigmoid"]),
            "normalize_expert_weights": rng.random() < 0.6,
            "router_noise_std": rng.choice([0.0, 0.0, 0.1]),
        },
        "moe_balancing": {
            "method": rng.choice(["aux_loss", "loss_free", "none"]),
            "loss_type": rng.choice(["load", "entropy"]),
            "bias_decay": rng.choice([0.0, 0.5]),
            "sequence_loss_coef": rng.choice([0.0, 0.0, 0.001]),
        },
    }


def moe(rng: random.Random) -> dict[str, Any]:
    """A decoder with experts, in all layers or in some."""
    shape = decoder(rng) | experts(rng)
    if rng.random() < 0.5:
        shape |= {"hidden_act": "swiglu", "mlp_bias": False}
    return shape


def mla(rng: random.Random) -> dict[str, Any]:
    """A decoder with latent attention, with experts or without."""
    shape = rng.choice([decoder, decoder, moe])(rng)
    nope, rope = rng.choice([16, 32, 64]), rng.choice([8, 16, 32])
    return shape | {
        "mla": {
            "enabled": True,
            "kv_lora_rank": rng.choice([16, 64, 100]),
            "q_lora_rank": rng.choice([None, 24, 96]),
            "qk_nope_head_dim": nope,
            "qk_rope_head_dim": rope,
            "v_head_dim": rng.choice([nope, nope + rope, 12]),
        }
    }


def lora(rng: random.Random) -> dict[str, Any]:
    """Adapters on some of the layers."""
    targets = [
        ["all-linear"],
        ["q_proj", "v_proj"],
        ["blocks.[02].*"],
        ["o_proj", "blocks.*.k_proj"],
    ]
    return {
        "enabled": True,
        "r": rng.choice([4, 16]),
        "target_modules": rng.choice(targets),
        "bias": rng.choice(["none", "all", "lora_only"]),
        "dropout": rng.choice([0.0, 0.0, 0.1]),
    }


def moe_config(rng: random.Random, strategy: str) -> Config:
    """A config with experts."""
    return config(rng, strategy, moe)


def mla_config(rng: random.Random, strategy: str) -> Config:
    """A config with latent attention."""
    return config(rng, strategy, mla)


def lora_config(rng: random.Random, strategy: str) -> Config:
    """A config that trains adapters alone."""
    return config(rng, strategy, rng.choice([decoder, decoder, moe]), {"lora": lora(rng)})


def mtp_config(rng: random.Random, strategy: str) -> Config:
    """A config with heads for later tokens."""
    heads = {
        "enabled": True,
        "num_future_tokens": rng.choice([1, 2, 3]),
        "head_type": rng.choice(["linear", "mlp", "block", "block"]),
        "head_intermediate_size": rng.choice([None, 200]),
        "head_dropout": rng.choice([0.0, 0.0, 0.1]),
        "primary_loss_weight": rng.choice([1.0, 0.5]),
    }
    shape = rng.choice([decoder, decoder, moe, mla])
    return config(rng, strategy, shape, {"training": {"mtp": heads}})


def config(
    rng: random.Random, strategy: str, shape: Shape, more: dict[str, Any] | None = None
) -> Config:
    """A config of a shape that trains with a strategy."""
    devices = 1 if strategy == "single" else rng.choice([2, 4, 8])
    recompute = rng.choice(["none", "none", "block", "selective"])
    tree = {
        "model": shape(rng),
        "training": {
            "batch_size": rng.choice([1, 2, 5]),
            "gradient_accumulation_steps": rng.choice([1, 2]),
            "gradient_checkpointing": recompute != "none",
            "mixed_precision": rng.choice(["no", "bf16"]),
        },
        "data": {"max_length": rng.choice([64, 200, 512])},
        "parallel": {"strategy": strategy, "devices_per_node": devices},
        "fsdp": {"reshard_after_forward": rng.random() < 0.7},
    }
    if recompute != "none":
        tree["training"]["gradient_checkpointing_kind"] = recompute
    for section, values in (more or {}).items():
        tree[section] = tree.get(section, {}) | values
    return Config.model_validate(tree)
