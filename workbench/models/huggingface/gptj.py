"""GPT-J: attention and feed-forward side by side behind one norm, neighbours turned as pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.config.huggingface import gptj as words
from workbench.models.huggingface.family import Family, Piece, same

if TYPE_CHECKING:
    from workbench.config.schema import ModelConfig


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
    *words.GPTJ,
    _pieces,
    "transformer.",
    ("attn.bias", "attn.masked_bias", "attn.embed_positions"),
)
