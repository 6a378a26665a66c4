"""The words of ``transformer_config``, and ours for them.

Facts: ``parse_model_config`` and ``create_model_from_config`` of tt-train's ``train_nanogpt.py``.
"""

from __future__ import annotations

from typing import Any, Final

TYPES: Final = ("gpt2", "llama", "qwen3", "deepseek")
TILE: Final = 32  # Tenstorrent computes in tiles of 32 x 32
LARGEST: Final = 10**6  # no batch, mesh or cluster of anybody's comes near
CHARACTERS: Final = 65  # of tiny Shakespeare, which the character configs train on

BASE: Final[dict[str, str]] = {
    "embedding_dim": "model.hidden_size",
    "num_blocks": "model.num_layers",
    "num_heads": "model.num_attention_heads",
}
LLAMA: Final[dict[str, str]] = {
    "num_groups": "model.num_key_value_heads",
    "theta": "model.rope_theta",
    "head_dim": "model.head_dim",
    "attention_bias": "model.attention_bias",
}
MLA: Final[dict[str, str]] = {
    "theta": "model.rope_theta",
    "kv_lora_rank": "model.mla.kv_lora_rank",
    "qk_nope_head_dim": "model.mla.qk_nope_head_dim",
    "qk_rope_head_dim": "model.mla.qk_rope_head_dim",
    "v_head_dim": "model.mla.v_head_dim",
    "n_dense_layers": "model.moe.num_dense_layers",
}
MOE: Final[dict[str, str]] = {
    "moe_inter_dim": "model.moe.expert_intermediate_size",
    "n_routed_experts": "model.num_experts",
    "n_shared_experts": "model.moe.num_shared_experts",
    "n_activated_experts": "model.num_experts_per_token",
    "n_expert_groups": "model.moe.num_expert_groups",
    "n_limited_groups": "model.moe.num_limited_groups",
    "score_func": "model.moe.score_function",
    "route_scale": "model.moe.routed_scaling_factor",
}
ROPE: Final[dict[str, str]] = {
    "scaling_factor": "model.rope_scaling.factor",
    "high_freq_factor": "model.rope_scaling.high_freq_factor",
    "low_freq_factor": "model.rope_scaling.low_freq_factor",
    "original_context_length": "model.rope_scaling.original_max_position_embeddings",
}

DEFAULTS: Final[dict[str, Any]] = {
    "model_type": "gpt2", "vocab_size": 256, "embedding_dim": 384, "num_blocks": 6, "num_heads": 6,
    "dropout_prob": 0.2, "bias": True, "max_sequence_length": 256, "runner_type": "default",
    "weight_tying": "disabled", "positional_embedding_type": "trainable", "num_groups": 3,
    "theta": 500000.0, "q_lora_rank": 256, "kv_lora_rank": 128, "qk_nope_head_dim": 64,
    "qk_rope_head_dim": 32, "v_head_dim": 64, "n_dense_layers": 2, "moe_inter_dim": 256,
    "n_routed_experts": 8, "n_shared_experts": 1, "n_activated_experts": 2, "n_expert_groups": 2,
    "n_limited_groups": 1, "score_func": "sigmoid", "route_scale": 2.5,
}  # fmt: skip
"""What ``train_nanogpt.py`` takes for a key that is missing."""

FIXED: Final[dict[str, dict[str, Any]]] = {
    "gpt2": {
        "model.model_type": "decoder", "model.norm_type": "layernorm", "model.hidden_act": "gelu",
        "model.residual_type": "sequential", "model.mla.enabled": False, "model.qk_norm": False,
        "model.num_experts": 1, "model.num_key_value_heads": None,
    },
    "llama": {
        "model.model_type": "decoder", "model.norm_type": "rmsnorm", "model.hidden_act": "swiglu",
        "model.position_embedding_type": "rope", "model.residual_type": "sequential",
        "model.mlp_bias": False, "model.mla.enabled": False, "model.qk_norm": False,
        "model.num_experts": 1,
    },
}  # fmt: skip
FIXED["qwen3"] = FIXED["llama"] | {"model.qk_norm": True}
FIXED["deepseek"] = {
    path: value for path, value in FIXED["llama"].items()
    if path not in ("model.num_experts", "model.qk_norm")
} | {"model.mla.enabled": True, "model.attention_bias": False}  # fmt: skip


def padded(vocab: int, tensor: int) -> int:
    """A vocabulary as the trainer pads it: to whole tiles on every tensor-parallel chip."""
    step = TILE * max(1, tensor)
    return -(-vocab // step) * step


def default_inner(width: int) -> int:
    """The inner width of a Llama without ``intermediate_dim``: 2/3 of 4 widths, in steps of 256."""
    return -(-(4 * width * 2 // 3) // 256) * 256
