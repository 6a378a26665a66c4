"""The configs of DeepSeek's own inference code: the shape of a network and little else.

Names and defaults are those of ``ModelArgs`` in deepseek-ai/DeepSeek-V3, inference/model.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.dialects.building import Keep
from workbench.dialects.claims import Claims
from workbench.dialects.deepseek_v3.others import Kind
from workbench.dialects.deepseek_v3.tables import plain, turned
from workbench.dialects.deepseek_v3.words import none_is_zero, words, zero_is_none

if TYPE_CHECKING:
    from workbench.dialects.building import Builder

_SCORES = words({"sigmoid": "sigmoid", "softmax": "softmax"}, "score function")
_LONGER = "of texts longer than those of the training; model.rope_scaling says it here"
_SERVING = "of the server that answers, not of the network"

INFERENCE = Kind(
    "DeepSeek's inference",
    Claims(
        (
            plain("vocab_size", "model.vocab_size"),
            plain("dim", "model.hidden_size"),
            plain("inter_dim", "model.intermediate_size"),
            plain("n_layers", "model.num_layers"),
            plain("n_heads", "model.num_attention_heads"),
            plain("rope_theta", "model.rope_theta"),
            turned("q_lora_rank", "model.mla.q_lora_rank", (zero_is_none, none_is_zero)),
            plain("kv_lora_rank", "model.mla.kv_lora_rank"),
            plain("qk_nope_head_dim", "model.mla.qk_nope_head_dim"),
            plain("qk_rope_head_dim", "model.mla.qk_rope_head_dim"),
            plain("v_head_dim", "model.mla.v_head_dim"),
            plain("n_dense_layers", "model.moe.num_dense_layers"),
            plain("n_routed_experts", "model.num_experts"),
            plain("n_activated_experts", "model.num_experts_per_token"),
            plain("n_shared_experts", "model.moe.num_shared_experts"),
            plain("moe_inter_dim", "model.moe.expert_intermediate_size"),
            plain("n_expert_groups", "model.moe.num_expert_groups"),
            plain("n_limited_groups", "model.moe.num_limited_groups"),
            plain("route_scale", "model.moe.routed_scaling_factor"),
            turned("score_func", "model.moe.score_function", _SCORES),
        )
    ),
    kept={
        "dtype": Keep("the format of the published weights; training.mixed_precision is ours"),
        "scale_fmt": Keep("the format of the published weights"),
        "max_batch_size": Keep(_SERVING),
        "max_seq_len": Keep(_SERVING),
        **dict.fromkeys(
            ("original_seq_len", "rope_factor", "beta_fast", "beta_slow", "mscale"), Keep(_LONGER)
        ),
    },
    derived={
        "model.mla.enabled": True,
        "model.hidden_act": "swiglu",
        "model.norm_type": "rmsnorm",
        "model.tie_word_embeddings": False,
        "model.moe.score_function": "softmax",
        "model.mla.q_lora_rank": None,
    },
    assumed="it is a config of DeepSeek's inference code, which trains nothing: the shape of the "
    "network is taken, and the training is the workbench's own",
)

_WITH_BIAS = 7168


def routing(builder: Builder) -> dict[str, Any]:
    """What follows from the scores of the router, and from the width, in that code."""
    sigmoid = builder.ours("model.moe.score_function") == "sigmoid"
    biased = builder.ours("model.hidden_size") == _WITH_BIAS
    return {
        "model.moe.normalize_expert_weights": sigmoid,
        "model.moe_balancing.method": "loss_free" if biased else "aux_loss",
    }
