"""GPT-NeoX and Pythia: attention and feed-forward side by side, each behind a norm of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.models.huggingface.activations import read_activation, write_activation
from workbench.models.huggingface.family import Family, Piece, joined_per_head, same
from workbench.models.huggingface.rope import read_rope, write_rope

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


def _pieces(model: ModelConfig) -> list[Piece]:
    found = [same("embedding", "gpt_neox.embed_in.weight")]
    if not model.tie_word_embeddings:
        found.append(same("lm_head.weight", "embed_out.weight"))
    for kind in ("weight", "bias"):
        found.append(same(f"norm.{kind}", f"gpt_neox.final_layer_norm.{kind}"))
        for layer in range(model.num_layers):
            ours, theirs = f"blocks.{layer}", f"gpt_neox.layers.{layer}"
            found += [
                same(f"{ours}.attention_norm.{kind}", f"{theirs}.input_layernorm.{kind}"),
                same(
                    f"{ours}.feed_forward_norm.{kind}", f"{theirs}.post_attention_layernorm.{kind}"
                ),
                same(f"{ours}.feed_forward.up_proj.{kind}", f"{theirs}.mlp.dense_h_to_4h.{kind}"),
                same(f"{ours}.feed_forward.down_proj.{kind}", f"{theirs}.mlp.dense_4h_to_h.{kind}"),
            ]
            if kind == "bias" and not model.attention_bias:
                continue
            found += [
                same(f"{ours}.attention.o_proj.{kind}", f"{theirs}.attention.dense.{kind}"),
                joined_per_head(
                    [f"{ours}.attention.{letter}_proj.{kind}" for letter in "qkv"],
                    f"{theirs}.attention.query_key_value.{kind}",
                    model.num_attention_heads,
                ),
            ]
    return found


GPT_NEOX = Family(
    "gpt_neox",
    "GPTNeoXForCausalLM",
    _read,
    _write,
    _pieces,
    "gpt_neox.",
    ("attention.bias", "attention.masked_bias", "rotary_emb.inv_freq"),
)
