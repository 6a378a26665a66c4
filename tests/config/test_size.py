"""Closed-form parameter counts against published totals and against the network itself."""

from __future__ import annotations

from typing import Any

import pytest

from workbench.config.degrees import Degrees
from workbench.config.schema import Config, ModelConfig
from workbench.config.size import num_expert_layers, size_of


def model(**keys: Any) -> ModelConfig:
    return Config.model_validate({"model": {"tie_word_embeddings": False, **keys}}).model


LLAMA: dict[str, Any] = {"num_key_value_heads": 8, "vocab_size": 128256}

# Totals: tinyllama, Llama 3 and Mixtral as published with the weights; GPT-2 by OpenAI's code;
# DeepSeek-V3 without its 14,848 routing biases, which are no parameters.
PUBLISHED: dict[str, tuple[int, dict[str, Any]]] = {
    "tinyllama": (
        1_100_048_384,
        {
            "hidden_size": 2048,
            "num_layers": 22,
            "num_attention_heads": 32,
            "num_key_value_heads": 4,
            "intermediate_size": 5632,
            "vocab_size": 32000,
        },
    ),
    "llama 3 8b": (
        8_030_261_248,
        LLAMA
        | {
            "hidden_size": 4096,
            "num_layers": 32,
            "num_attention_heads": 32,
            "intermediate_size": 14336,
        },
    ),
    "llama 3 70b": (
        70_553_706_496,
        LLAMA
        | {
            "hidden_size": 8192,
            "num_layers": 80,
            "num_attention_heads": 64,
            "intermediate_size": 28672,
        },
    ),
    "gpt2": (
        124_439_808,
        {
            "hidden_size": 768,
            "num_layers": 12,
            "num_attention_heads": 12,
            "intermediate_size": 3072,
            "vocab_size": 50257,
            "max_position_embeddings": 1024,
            "hidden_act": "gelu",
            "norm_type": "layernorm",
            "attention_bias": True,
            "mlp_bias": True,
            "position_embedding_type": "learned",
            "tie_word_embeddings": True,
        },
    ),
    "mixtral 8x7b": (
        46_702_792_704,
        {
            "hidden_size": 4096,
            "num_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "intermediate_size": 14336,
            "vocab_size": 32000,
            "num_experts": 8,
            "num_experts_per_token": 2,
        },
    ),
    "deepseek v3": (
        671_026_419_200 - 58 * 256,
        {
            "hidden_size": 7168,
            "num_layers": 61,
            "num_attention_heads": 128,
            "intermediate_size": 18432,
            "vocab_size": 129280,
            "num_experts": 256,
            "num_experts_per_token": 8,
            "moe": {
                "expert_intermediate_size": 2048,
                "num_shared_experts": 1,
                "num_dense_layers": 3,
            },
            "mla": {"enabled": True, "q_lora_rank": 1536},
        },
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_totals(name: str) -> None:
    total, keys = PUBLISHED[name]
    assert size_of(model(**keys)).total == total


def test_active_parameters() -> None:
    assert size_of(model(**PUBLISHED["mixtral 8x7b"][1])).active == 12_879_925_248
    dense = size_of(model(**PUBLISHED["tinyllama"][1]))
    assert dense.active == dense.total


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"tie_word_embeddings": True, "num_key_value_heads": 2},
        {"hidden_act": "gelu", "mlp_bias": True, "attention_bias": True},
        {"norm_type": "layernorm", "head_dim": 24},
        {"num_experts": 4, "num_experts_per_token": 2},
        {"num_experts": 3, "hidden_act": "gelu", "mlp_bias": True, "tie_word_embeddings": True},
        {"attention_bias": True, "attention_out_bias": False, "qk_norm": True},
        {"residual_type": "parallel_shared_norm", "lm_head_bias": True, "attention_out_bias": True},
        {"position_embedding_type": "learned", "norm_type": "layernorm"},
    ],
)
def test_the_network_has_as_many(keys: dict[str, Any]) -> None:
    import torch

    from workbench.models.decoder import Decoder

    small = {"hidden_size": 32, "num_layers": 3, "num_attention_heads": 4, "intermediate_size": 40}
    config = model(**small, **keys)
    with torch.device("meta"):
        assert size_of(config).total == Decoder(config).num_parameters()


@pytest.mark.parametrize(
    ("keys", "layers"),
    [
        ({"num_experts": 1}, 0),
        ({"num_experts": 4}, 6),
        ({"num_experts": 4, "moe": {"num_dense_layers": 2}}, 4),
        ({"num_experts": 4, "moe": {"dense_layer_interval": 4}}, 4),
        ({"num_experts": 4, "moe": {"dense_layer_interval": 1}}, 0),
        ({"num_experts": 4, "moe": {"num_dense_layers": 1, "dense_layer_interval": 3}}, 4),
        ({"num_experts": 4, "moe": {"num_dense_layers": 60}}, 0),
    ],
)
def test_layers_with_experts(keys: dict[str, Any], layers: int) -> None:
    assert num_expert_layers(model(**keys)) == layers


@pytest.mark.parametrize(
    ("keys", "data", "shards"),
    [
        ({}, 1, 1),
        ({"devices_per_node": 8}, 8, 8),
        ({"num_nodes": 2, "devices_per_node": 8, "tensor_parallel_size": 4}, 4, 4),
        ({"devices_per_node": 8, "context_parallel_size": 2}, 4, 8),
        ({"devices_per_node": 8, "data_parallel_size": -1, "pipeline_parallel_size": 2}, 4, 4),
        ({"devices_per_node": 8, "data_parallel_size": 2}, 2, 2),
    ],
)
def test_degrees(keys: dict[str, Any], data: int, shards: int) -> None:
    degrees = Degrees.of(Config.model_validate({"parallel": keys}))
    assert (degrees.data, degrees.sharded) == (data, shards)
