"""GPT-NeoX and Pythia: attention and feed-forward side by side, each behind a norm of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.config.huggingface.activations import read_activation, write_activation
from workbench.config.huggingface.rope import read_rope, write_rope
from workbench.config.huggingface.words import Words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workbench.config.schema import ModelConfig


def _read(hf: Mapping[str, Any]) -> dict[str, Any]:
    rope = read_rope(hf, default_theta=hf.get("rotary_emb_base", 10000.0))
    rope.setdefault("partial_rotary_factor", float(hf.get("rotary_pct", 0.25)))
    bias = hf.get("attention_bias", True)
    return {
        "model_type": "decoder",
        "vocab_size": hf["vocab_size"],
        "hidden_size": hf["hidden_size"],
        "num_layers": hf["num_hidden_layers"],
        "num_attention_heads": hf["num_attention_heads"],
        "intermediate_size": hf["intermediate_size"],
        "hidden_act": read_activation(hf.get("hidden_act", "gelu")),
        "norm_type": "layernorm",
        "layer_norm_eps": hf.get("layer_norm_eps", 1e-5),
        "residual_type": "parallel" if hf.get("use_parallel_residual", True) else "sequential",
        "attention_bias": bias,
        "mlp_bias": True,
        "tie_word_embeddings": hf.get("tie_word_embeddings", False),
        "attention_dropout": float(hf.get("attention_dropout", 0.0)),
        "hidden_dropout": float(hf.get("hidden_dropout", 0.0)),
        "embedding_dropout": float(hf.get("hidden_dropout", 0.0)),
        "initializer_range": hf.get("initializer_range", 0.02),
        **rope,
    }


def _write(model: ModelConfig) -> dict[str, Any]:
    rope = write_rope(model)
    rope.pop("partial_rotary_factor", None)
    theta = rope.pop("rope_theta")
    return {
        "vocab_size": model.vocab_size,
        "hidden_size": model.hidden_size,
        "num_hidden_layers": model.num_layers,
        "num_attention_heads": model.num_attention_heads,
        "intermediate_size": model.intermediate_size,
        "rotary_pct": model.partial_rotary_factor,
        "rotary_emb_base": theta,
        "hidden_act": write_activation(model.hidden_act),
        "layer_norm_eps": model.layer_norm_eps,
        "use_parallel_residual": model.residual_type == "parallel",
        "attention_bias": model.attention_bias,
        "tie_word_embeddings": model.tie_word_embeddings,
        "attention_dropout": model.attention_dropout,
        "hidden_dropout": model.hidden_dropout,
        "initializer_range": model.initializer_range,
        **rope,
    }


GPT_NEOX = Words("gpt_neox", "GPTNeoXForCausalLM", _read, _write)
