"""GPT-2: learned positions, and matrices stored on their side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.config.huggingface import gpt2 as words
from workbench.models.huggingface.family import Family, Piece, joined, same, turned

if TYPE_CHECKING:
    from workbench.config.schema import ModelConfig


def _pieces(model: ModelConfig) -> list[Piece]:
    width = model.hidden_size
    found = [
        same("embedding", "transformer.wte.weight"),
        same("position_embedding", "transformer.wpe.weight"),
    ]
    if not model.tie_word_embeddings:
        found.append(same("lm_head.weight", "lm_head.weight"))
    for kind in ("weight", "bias"):
        found.append(same(f"norm.{kind}", f"transformer.ln_f.{kind}"))
        side = turned if kind == "weight" else same
        for layer in range(model.num_layers):
            ours, theirs = f"blocks.{layer}", f"transformer.h.{layer}"
            found += [
                same(f"{ours}.attention_norm.{kind}", f"{theirs}.ln_1.{kind}"),
                same(f"{ours}.feed_forward_norm.{kind}", f"{theirs}.ln_2.{kind}"),
                joined(
                    [f"{ours}.attention.{letter}_proj.{kind}" for letter in "qkv"],
                    f"{theirs}.attn.c_attn.{kind}",
                    [width] * 3,
                    on_side=kind == "weight",
                ),
                side(f"{ours}.attention.o_proj.{kind}", f"{theirs}.attn.c_proj.{kind}"),
                side(f"{ours}.feed_forward.up_proj.{kind}", f"{theirs}.mlp.c_fc.{kind}"),
                side(f"{ours}.feed_forward.down_proj.{kind}", f"{theirs}.mlp.c_proj.{kind}"),
            ]
    return found


GPT2 = Family(
    *words.GPT2,
    _pieces,
    "transformer.",
    ("attn.bias", "attn.masked_bias"),
)
