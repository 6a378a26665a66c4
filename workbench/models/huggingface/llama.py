"""Llama 2 and 3, and what most families since then have in common with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.models.huggingface.family import Family, Piece, UnsupportedError, refuse, same
from workbench.models.huggingface.rope import read_rope, write_rope

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


def frame_pieces(model: ModelConfig) -> list[Piece]:
    """Embedding, last norm, and the output matrix where it is one of its own."""
    pieces = [
        same("embedding", "model.embed_tokens.weight"),
        same("norm.weight", "model.norm.weight"),
    ]
    if not model.tie_word_embeddings:
        pieces.append(same("lm_head.weight", "lm_head.weight"))
    return pieces


def attention_pieces(model: ModelConfig, ours: str, theirs: str) -> list[Piece]:
    """Norms and attention of one block."""
    out_bias = model.attention_out_bias
    biases = {
        "q": model.attention_bias,
        "k": model.attention_bias,
        "v": model.attention_bias,
        "o": model.attention_bias if out_bias is None else out_bias,
    }
    pieces = [
        same(f"{ours}.attention_norm.weight", f"{theirs}.input_layernorm.weight"),
        same(f"{ours}.feed_forward_norm.weight", f"{theirs}.post_attention_layernorm.weight"),
    ]
    for letter, bias in biases.items():
        for kind in ("weight", "bias") if bias else ("weight",):
            name = f"{letter}_proj.{kind}"
            pieces.append(same(f"{ours}.attention.{name}", f"{theirs}.self_attn.{name}"))
    if model.qk_norm:
        pieces += [
            same(f"{ours}.attention.{name}.weight", f"{theirs}.self_attn.{name}.weight")
            for name in ("q_norm", "k_norm")
        ]
    return pieces


def dense_pieces(model: ModelConfig, ours: str, theirs: str) -> list[Piece]:
    """The feed-forward network of one block."""
    return [
        same(f"{ours}.feed_forward.{name}_proj.{kind}", f"{theirs}.mlp.{name}_proj.{kind}")
        for name in ("gate", "up", "down")
        for kind in (("weight", "bias") if model.mlp_bias else ("weight",))
    ]


def pieces(model: ModelConfig) -> list[Piece]:
    """All tensors of a dense Llama-like network."""
    found = frame_pieces(model)
    for layer in range(model.num_layers):
        ours, theirs = f"blocks.{layer}", f"model.layers.{layer}"
        found += attention_pieces(model, ours, theirs) + dense_pieces(model, ours, theirs)
    return found


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


IGNORED = ("rotary_emb.inv_freq",)
LLAMA = Family("llama", "LlamaForCausalLM", _read, _write, pieces, "model.", IGNORED)
