"""Random configs, the same ones for the same seed."""

from __future__ import annotations

import random
from typing import Any

from workbench.config.schema import Config


def decoder(rng: random.Random) -> dict[str, Any]:
    """The shape of a dense decoder."""
    heads = rng.choice([2, 4, 8])
    width = rng.choice([16, 32, 64])
    return {
        "hidden_size": rng.choice([heads * width, 128, 256]),
        "head_dim": width,
        "num_attention_heads": heads,
        "num_key_value_heads": rng.choice([n for n in (1, 2, 4, 8) if n <= heads]),
        "num_layers": rng.choice([1, 2, 3, 6]),
        "intermediate_size": rng.choice([128, 344, 1024]),
        "vocab_size": rng.choice([300, 5000, 50000]),
        "norm_type": rng.choice(["rmsnorm", "layernorm"]),
        "hidden_act": rng.choice(
            ["swiglu", "gelu", "relu", "relu_squared", "geglu", "silu", "gelu_new"]
        ),
        "attention_bias": rng.random() < 0.5,
        "mlp_bias": rng.random() < 0.5,
        "lm_head_bias": rng.random() < 0.3,
        "qk_norm": rng.random() < 0.5,
        "position_embedding_type": rng.choice(["rope", "rope", "learned"]),
        "tie_word_embeddings": rng.random() < 0.5,
        "residual_type": rng.choice(["sequential", "parallel", "parallel_shared_norm"]),
        "max_position_embeddings": 1024,
        "partial_rotary_factor": rng.choice([1.0, 0.5]),
        "rope_interleaved": rng.random() < 0.5,
    }


def config(rng: random.Random, strategy: str) -> Config:
    """A config that trains with a strategy."""
    devices = 1 if strategy == "single" else rng.choice([2, 4, 8])
    return Config.model_validate(
        {
            "model": decoder(rng),
            "training": {
                "batch_size": rng.choice([1, 2, 5]),
                "gradient_accumulation_steps": rng.choice([1, 2]),
                "gradient_checkpointing": rng.random() < 0.4,
                "mixed_precision": rng.choice(["no", "bf16"]),
            },
            "data": {"max_length": rng.choice([64, 200, 512])},
            "parallel": {"strategy": strategy, "devices_per_node": devices},
            "fsdp": {"reshard_after_forward": rng.random() < 0.7},
        }
    )
