"""DeepSeek-V3: latent attention, shared and routed experts, a bias that balances them.

Its heads for multi-token prediction are neither read nor written: transformers drops them too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.config.huggingface.llama import read_common, write_common
from workbench.config.huggingface.words import UnsupportedError, Words, refuse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workbench.config.schema import ModelConfig


def _read(hf: Mapping[str, Any]) -> dict[str, Any]:
    refuse(hf, pretraining_tp=1, moe_layer_freq=1, scoring_func="sigmoid", topk_method="noaux_tc")
    if hf.get("quantization_config"):
        raise UnsupportedError("weights in 8 bits are not built: convert them to bf16 first")
    experts_per_token = hf["num_experts_per_tok"]
    if experts_per_token == 1 and hf.get("norm_topk_prob", True):
        raise UnsupportedError("one expert per token whose weight is always 1 is not built")
    return read_common(hf) | {
        "num_key_value_heads": None,
        "head_dim": None,
        "attention_bias": hf.get("attention_bias", False),
        "rope_interleaved": bool(hf.get("rope_interleave", True)),
        "mla.enabled": True,
        "mla.kv_lora_rank": hf["kv_lora_rank"],
        "mla.q_lora_rank": hf.get("q_lora_rank"),
        "mla.qk_nope_head_dim": hf["qk_nope_head_dim"],
        "mla.qk_rope_head_dim": hf["qk_rope_head_dim"],
        "mla.v_head_dim": hf["v_head_dim"],
        "num_experts": hf["n_routed_experts"],
        "num_experts_per_token": experts_per_token,
        "router_type": "topk",
        "moe.expert_intermediate_size": hf["moe_intermediate_size"],
        "moe.num_shared_experts": hf["n_shared_experts"],
        "moe.num_dense_layers": hf["first_k_dense_replace"],
        "moe.num_expert_groups": hf.get("n_group") or 1,
        "moe.num_limited_groups": hf.get("topk_group") or 1,
        "moe.score_function": "sigmoid",
        "moe.normalize_expert_weights": hf.get("norm_topk_prob", True),
        "moe.routed_scaling_factor": float(hf["routed_scaling_factor"]),
        "moe_balancing.method": "loss_free",
    }


def _write(model: ModelConfig) -> dict[str, Any]:
    mla, moe = model.mla, model.moe
    if not moe.num_shared_experts:
        raise UnsupportedError("without a shared expert")
    return write_common(model) | {
        "num_key_value_heads": model.num_attention_heads,
        "head_dim": mla.qk_rope_head_dim,
        "attention_bias": model.attention_bias,
        "rope_interleave": model.rope_interleaved,
        "kv_lora_rank": mla.kv_lora_rank,
        "q_lora_rank": mla.q_lora_rank,
        "qk_nope_head_dim": mla.qk_nope_head_dim,
        "qk_rope_head_dim": mla.qk_rope_head_dim,
        "v_head_dim": mla.v_head_dim,
        "n_routed_experts": model.num_experts,
        "num_experts_per_tok": model.num_experts_per_token,
        "moe_intermediate_size": moe.expert_intermediate_size or model.intermediate_size,
        "n_shared_experts": moe.num_shared_experts,
        "first_k_dense_replace": moe.num_dense_layers,
        "n_group": moe.num_expert_groups,
        "topk_group": moe.num_limited_groups if moe.num_expert_groups > 1 else 1,
        "norm_topk_prob": moe.normalize_expert_weights and model.num_experts_per_token > 1,
        "routed_scaling_factor": moe.routed_scaling_factor,
        "num_nextn_predict_layers": 0,
    }


DEEPSEEK_V3 = Words("deepseek_v3", "DeepseekV3ForCausalLM", _read, _write)
