"""GPT-J: attention and feed-forward side by side behind one norm, neighbours turned as pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.config.huggingface.activations import read_activation, write_activation
from workbench.config.huggingface.words import UnsupportedError, Words
from workbench.config.linears import head_width

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workbench.config.schema import ModelConfig


def _read(hf: Mapping[str, Any]) -> dict[str, Any]:
    width, heads = hf["n_embd"], hf["n_head"]
    turned = hf.get("rotary_dim", 64)
    return {
        "model_type": "decoder",
        "vocab_size": hf["vocab_size"],
        "hidden_size": width,
        "num_layers": hf["n_layer"],
        "num_attention_heads": heads,
        "intermediate_size": hf.get("n_inner") or 4 * width,
        "max_position_embeddings": hf.get("n_positions", 2048),
        "position_embedding_type": "rope",
        "rope_interleaved": True,
        "partial_rotary_factor": 1.0 if turned is None else turned * heads / width,
        "hidden_act": read_activation(hf.get("activation_function", "gelu_new")),
        "norm_type": "layernorm",
        "layer_norm_eps": hf.get("layer_norm_epsilon", 1e-5),
        "residual_type": "parallel_shared_norm",
        "mlp_bias": True,
        "lm_head_bias": True,
        "tie_word_embeddings": hf.get("tie_word_embeddings", False),
        "embedding_dropout": float(hf.get("embd_pdrop", 0.0)),
        "attention_dropout": float(hf.get("attn_pdrop", 0.0)),
        "hidden_dropout": float(hf.get("resid_pdrop", 0.0)),
        "initializer_range": hf.get("initializer_range", 0.02),
    }


def _write(model: ModelConfig) -> dict[str, Any]:
    return {
        "vocab_size": model.vocab_size,
        "n_embd": model.hidden_size,
        "n_layer": model.num_layers,
        "n_head": model.num_attention_heads,
        "n_inner": model.intermediate_size,
        "n_positions": model.max_position_embeddings,
        "rotary_dim": _turned(model),
        "activation_function": write_activation(model.hidden_act),
        "layer_norm_epsilon": model.layer_norm_eps,
        "tie_word_embeddings": model.tie_word_embeddings,
        "embd_pdrop": model.embedding_dropout,
        "attn_pdrop": model.attention_dropout,
        "resid_pdrop": model.hidden_dropout,
        "initializer_range": model.initializer_range,
    }


def _turned(model: ModelConfig) -> int:
    width = int(head_width(model) * model.partial_rotary_factor)
    if width % 2 or not width:
        raise UnsupportedError(f"rotary positions turn pairs of features, and {width} is odd or 0")
    return width


GPTJ = Words("gptj", "GPTJForCausalLM", _read, _write)
