"""GPT-NeoX and Pythia: attention and feed-forward side by side, each behind a norm of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.config.huggingface import gpt_neox as words
from workbench.models.huggingface.family import Family, Piece, joined_per_head, same

if TYPE_CHECKING:
    from workbench.config.schema import ModelConfig


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
    *words.GPT_NEOX,
    _pieces,
    "gpt_neox.",
    ("attention.bias", "attention.masked_bias", "rotary_emb.inv_freq"),
)
