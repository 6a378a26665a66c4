"""GPT-2: learned positions, and matrices stored on their side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.config.huggingface.activations import read_activation, write_activation
from workbench.config.huggingface.words import Words, refuse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workbench.config.schema import ModelConfig


def read_gpt(
    hf: Mapping[str, Any], *, positions: int, dropout: float, tied: bool
) -> dict[str, Any]:
    """What the families with ``n_embd`` call alike, as keys of ``model``.

    Args:
        hf: The config.json.
        positions: How many there are where the file does not say.
        dropout: The same.
        tied: Whether one matrix serves tokens in and out where the file does not say.
    """
    return {
        "model_type": "decoder",
        "vocab_size": hf["vocab_size"],
        "hidden_size": hf["n_embd"],
        "num_layers": hf["n_layer"],
        "num_attention_heads": hf["n_head"],
        "intermediate_size": hf.get("n_inner") or 4 * hf["n_embd"],
        "max_position_embeddings": hf.get("n_positions", positions),
        "hidden_act": read_activation(hf.get("activation_function", "gelu_new")),
        "norm_type": "layernorm",
        "layer_norm_eps": hf.get("layer_norm_epsilon", 1e-5),
        "mlp_bias": True,
        "tie_word_embeddings": hf.get("tie_word_embeddings", tied),
        "embedding_dropout": float(hf.get("embd_pdrop", dropout)),
        "attention_dropout": float(hf.get("attn_pdrop", dropout)),
        "hidden_dropout": float(hf.get("resid_pdrop", dropout)),
        "initializer_range": hf.get("initializer_range", 0.02),
    }


def write_gpt(model: ModelConfig) -> dict[str, Any]:
    """The other way round."""
    return {
        "vocab_size": model.vocab_size,
        "n_embd": model.hidden_size,
        "n_layer": model.num_layers,
        "n_head": model.num_attention_heads,
        "n_inner": model.intermediate_size,
        "n_positions": model.max_position_embeddings,
        "activation_function": write_activation(model.hidden_act),
        "layer_norm_epsilon": model.layer_norm_eps,
        "tie_word_embeddings": model.tie_word_embeddings,
        "embd_pdrop": model.embedding_dropout,
        "attn_pdrop": model.attention_dropout,
        "resid_pdrop": model.hidden_dropout,
        "initializer_range": model.initializer_range,
    }


def _read(hf: Mapping[str, Any]) -> dict[str, Any]:
    refuse(
        hf,
        scale_attn_weights=True,
        scale_attn_by_inverse_layer_idx=False,
        add_cross_attention=False,
    )
    return read_gpt(hf, positions=1024, dropout=0.1, tied=True) | {
        "position_embedding_type": "learned",
        "attention_bias": True,
    }


GPT2 = Words("gpt2", "GPT2LMHeadModel", _read, write_gpt)
