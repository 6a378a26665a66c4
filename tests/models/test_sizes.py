"""The closed form counts what is built, for every family and every kind of block."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from workbench.config.schema import ModelConfig
from workbench.config.size import size_of
from workbench.models.build import build_model
from workbench.models.init import init_weights

SHAPE: dict[str, Any] = {
    "hidden_size": 32,
    "num_layers": 5,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "vocab_size": 64,
}
MLA = {
    "enabled": True,
    "kv_lora_rank": 12,
    "q_lora_rank": 10,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 4,
    "v_head_dim": 6,
}
PUBLISHED_BERT = {
    "norm_type": "layernorm",
    "attention_bias": True,
    "mlp_bias": True,
    "hidden_act": "gelu",
    "position_embedding_type": "learned",
}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"mla": MLA},
        {"mla": MLA | {"q_lora_rank": None}, "attention_bias": True},
        {"mla": MLA, "attention_bias": True, "attention_out_bias": False},
        {"num_experts": 4, "mlp_bias": True, "moe": {"num_shared_experts": 2}},
        {
            "num_experts": 4,
            "moe": {
                "num_shared_experts": 2,
                "shared_intermediate_size": 9,
                "expert_intermediate_size": 20,
                "dense_layer_interval": 3,
                "num_dense_layers": 1,
            },
            "moe_balancing": {"method": "loss_free"},
        },
        {"model_type": "bert"},
        {"model_type": "bert", **PUBLISHED_BERT},
        {"model_type": "bert", "tie_word_embeddings": False},
        {"model_type": "bert", "head": "classification", "num_labels": 3},
        {"model_type": "bert", "head": "token_classification", "num_labels": 3},
        {"model_type": "t5"},
        {
            "model_type": "t5",
            "hidden_act": "relu",
            "num_encoder_layers": 2,
            "tie_word_embeddings": False,
            "head_dim": 6,
        },
    ],
    ids=str,
)
def test_parameters_are_counted_exactly(options: dict[str, Any]) -> None:
    config = ModelConfig.model_validate(SHAPE | options)
    with torch.device("meta"):
        model = build_model(config)
    assert size_of(config).total == model.num_parameters()
    largest = max(sum(each.numel() for each in block.parameters()) for block in model.block_list())
    assert size_of(config).block == largest


def test_queries_of_a_t5_start_smaller() -> None:
    config = ModelConfig.model_validate(SHAPE | {"model_type": "t5", "hidden_size": 128})
    model = build_model(config)
    init_weights(model, 1)
    std = model.get_parameter("blocks.1.attention.q_proj.weight").std().item()
    assert std == pytest.approx(0.02 / math.sqrt(32), rel=0.05)
    std = model.get_parameter("encoder_blocks.1.attention.k_proj.weight").std().item()
    assert std == pytest.approx(0.02, rel=0.05)
