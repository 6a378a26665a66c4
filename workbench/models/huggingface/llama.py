"""Llama 2 and 3, and what most families since then have in common with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.config.huggingface import llama as words
from workbench.models.huggingface.family import Family, Piece, same

if TYPE_CHECKING:
    from workbench.config.schema import ModelConfig


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


IGNORED = ("rotary_emb.inv_freq",)
LLAMA = Family(*words.LLAMA, pieces, "model.", IGNORED)
