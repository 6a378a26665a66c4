"""Qwen2: biases on queries, keys and values. Qwen3: a norm on each query and key head instead.

The experts of Qwen3-MoE are those of Mixtral, under DeepSeek's names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.config.huggingface.llama import read_common, read_window, write_common
from workbench.config.huggingface.words import UnsupportedError, Words, refuse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workbench.config.schema import ModelConfig


def _window(model: ModelConfig) -> dict[str, Any]:
    window, layers = model.sliding_window, model.num_layers
    return {
        "use_sliding_window": window is not None,
        "sliding_window": window,
        "max_window_layers": layers if window is None else 0,
        "layer_types": ["full_attention" if window is None else "sliding_attention"] * layers,
    }


def _read_2(hf: Mapping[str, Any]) -> dict[str, Any]:
    biases = {"attention_bias": True, "attention_out_bias": False}
    return read_common(hf) | read_window(hf) | biases


def _write_2(model: ModelConfig) -> dict[str, Any]:
    return write_common(model) | _window(model)


def _read_3(hf: Mapping[str, Any]) -> dict[str, Any]:
    common = read_common(hf)
    # Their default is 128, whatever the width.
    common["head_dim"] = hf.get("head_dim", 128)
    return (
        common
        | read_window(hf)
        | {
            "attention_bias": hf.get("attention_bias", False),
            "qk_norm": True,
        }
    )


def _write_3(model: ModelConfig) -> dict[str, Any]:
    return write_common(model) | _window(model) | {"attention_bias": model.attention_bias}


def _read_moe(hf: Mapping[str, Any]) -> dict[str, Any]:
    refuse(
        {**hf, "mlp_only_layers": hf.get("mlp_only_layers") or []},
        decoder_sparse_step=1,
        mlp_only_layers=[],
    )
    choices, normalise = hf.get("num_experts_per_tok", 8), hf.get("norm_topk_prob", False)
    if choices == 1 and normalise:
        raise UnsupportedError("one expert per token whose weight is always 1 is not built")
    return _read_3(hf) | {
        "head_dim": hf.get("head_dim"),
        "num_experts": hf.get("num_experts", hf.get("num_local_experts", 128)),
        "num_experts_per_token": choices,
        "router_type": "topk",
        "router_aux_loss_coef": hf.get("router_aux_loss_coef", 0.001) * choices,
        "moe.expert_intermediate_size": hf["moe_intermediate_size"],
        "moe.normalize_expert_weights": normalise,
    }


def _write_moe(model: ModelConfig) -> dict[str, Any]:
    choices = model.num_experts_per_token
    return _write_3(model) | {
        "num_experts": model.num_experts,
        "num_experts_per_tok": choices,
        # Theirs adds up over the choices of a token, ours is a mean.
        "router_aux_loss_coef": model.router_aux_loss_coef / choices,
        "moe_intermediate_size": model.moe.expert_intermediate_size or model.intermediate_size,
        "norm_topk_prob": model.moe.normalize_expert_weights and choices > 1,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
    }


QWEN2 = Words("qwen2", "Qwen2ForCausalLM", _read_2, _write_2)
QWEN3 = Words("qwen3", "Qwen3ForCausalLM", _read_3, _write_3)
QWEN3_MOE = Words("qwen3_moe", "Qwen3MoeForCausalLM", _read_moe, _write_moe)
