"""Llama 2 and 3, and what most families since then have in common with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.config.huggingface.rope import read_rope, write_rope
from workbench.config.huggingface.words import UnsupportedError, Words, refuse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workbench.config.schema import ModelConfig


_GATES = {"silu": "swiglu", "swish": "swiglu", "gelu": "geglu"}


def read_common(hf: Mapping[str, Any]) -> dict[str, Any]:
    """What the Llama-like families call alike, as keys of ``model``.

    Raises:
        UnsupportedError: Something in it is not built.
    """
    gate = hf.get("hidden_act", "silu")
    if gate not in _GATES:
        raise UnsupportedError(f"a feed-forward gate of the kind {gate} is not built")
    return {
        "model_type": "decoder",
        "vocab_size": hf["vocab_size"],
        "hidden_size": hf["hidden_size"],
        "num_layers": hf["num_hidden_layers"],
        "num_attention_heads": hf["num_attention_heads"],
        "num_key_value_heads": hf.get("num_key_value_heads"),
        "head_dim": hf.get("head_dim"),
        "intermediate_size": hf["intermediate_size"],
        "hidden_act": _GATES[gate],
        "norm_type": "rmsnorm",
        "layer_norm_eps": hf.get("rms_norm_eps", 1e-6),
        "tie_word_embeddings": hf.get("tie_word_embeddings", False),
        "attention_dropout": float(hf.get("attention_dropout") or 0.0),
        "initializer_range": hf.get("initializer_range", 0.02),
        **read_rope(hf),
    }


def write_common(model: ModelConfig) -> dict[str, Any]:
    """The other way round."""
    return {
        "vocab_size": model.vocab_size,
        "hidden_size": model.hidden_size,
        "num_hidden_layers": model.num_layers,
        "num_attention_heads": model.num_attention_heads,
        "num_key_value_heads": model.num_key_value_heads or model.num_attention_heads,
        "head_dim": model.head_dim or model.hidden_size // model.num_attention_heads,
        "intermediate_size": model.intermediate_size,
        "hidden_act": "gelu" if model.hidden_act == "geglu" else "silu",
        "rms_norm_eps": model.layer_norm_eps,
        "tie_word_embeddings": model.tie_word_embeddings,
        "attention_dropout": model.attention_dropout,
        "initializer_range": model.initializer_range,
        **write_rope(model),
    }


def read_window(hf: Mapping[str, Any]) -> dict[str, Any]:
    """The window of the families that may have one, if all layers have the same.

    Raises:
        UnsupportedError: Some have it and some do not.
    """
    layers, window = hf["num_hidden_layers"], hf.get("sliding_window")
    if not hf.get("use_sliding_window", True):
        return {"sliding_window": None}
    kinds = set(hf.get("layer_types") or ())
    if not kinds and "max_window_layers" in hf and window is not None:
        full = min(hf["max_window_layers"], layers)
        kinds = {"full_attention"} if full == layers else {"sliding_attention"}
        kinds |= {"full_attention"} if full else set()
    if len(kinds) > 1:
        raise UnsupportedError("a sliding window in some layers only is not built")
    return {"sliding_window": None if kinds == {"full_attention"} else window}


def _read(hf: Mapping[str, Any]) -> dict[str, Any]:
    refuse(hf, pretraining_tp=1)
    return read_common(hf) | {
        "attention_bias": hf.get("attention_bias", False),
        "mlp_bias": hf.get("mlp_bias", False),
    }


def _write(model: ModelConfig) -> dict[str, Any]:
    return write_common(model) | {
        "attention_bias": model.attention_bias,
        "mlp_bias": model.mlp_bias,
    }


LLAMA = Words("llama", "LlamaForCausalLM", _read, _write)
