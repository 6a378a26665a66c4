"""GPT-J: attention and feed-forward side by side behind one norm, neighbours turned as pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.models.attention import rotary_width
from workbench.models.huggingface.activations import read_activation, write_activation
from workbench.models.huggingface.family import Family, Piece, same

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
        "rotary_dim": rotary_width(model),
        "activation_function": write_activation(model.hidden_act),
        "layer_norm_epsilon": model.layer_norm_eps,
        "tie_word_embeddings": model.tie_word_embeddings,
        "embd_pdrop": model.embedding_dropout,
        "attn_pdrop": model.attention_dropout,
        "resid_pdrop": model.hidden_dropout,
        "initializer_range": model.initializer_range,
    }


def _pieces(model: ModelConfig) -> list[Piece]:
    found = [
        same("embedding", "transformer.wte.weight"),
        same("lm_head_bias", "lm_head.bias"),
    ]
    if not model.tie_word_embeddings:
        found.append(same("lm_head.weight", "lm_head.weight"))
    found += [same(f"norm.{kind}", f"transformer.ln_f.{kind}") for kind in ("weight", "bias")]
    for layer in range(model.num_layers):
        ours, theirs = f"blocks.{layer}", f"transformer.h.{layer}"
        found += [
            same(f"{ours}.attention.{mine}_proj.weight", f"{theirs}.attn.{other}_proj.weight")
            for mine, other in (("q", "q"), ("k", "k"), ("v", "v"), ("o", "out"))
        ]
        for kind in ("weight", "bias"):
            found += [
                same(f"{ours}.attention_norm.{kind}", f"{theirs}.ln_1.{kind}"),
                same(f"{ours}.feed_forward.up_proj.{kind}", f"{theirs}.mlp.fc_in.{kind}"),
                same(f"{ours}.feed_forward.down_proj.{kind}", f"{theirs}.mlp.fc_out.{kind}"),
            ]
    return found


GPTJ = Family(
    "gptj",
    "GPTJForCausalLM",
    _read,
    _write,
    _pieces,
    "transformer.",
    ("attn.bias", "attn.masked_bias", "attn.embed_positions"),
)
