"""Mixtral: a Mistral whose feed-forward networks are experts, stored one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.config.huggingface import mixtral as words
from workbench.models.huggingface.family import Family, Piece, same, stacked
from workbench.models.huggingface.llama import (
    IGNORED,
    attention_pieces,
    frame_pieces,
)

if TYPE_CHECKING:
    from workbench.config.schema import ModelConfig

_EXPERT = {"gate_proj": "w1", "down_proj": "w2", "up_proj": "w3"}


def _pieces(model: ModelConfig) -> list[Piece]:
    found = frame_pieces(model)
    for layer in range(model.num_layers):
        ours, theirs = f"blocks.{layer}", f"model.layers.{layer}"
        found += attention_pieces(model, ours, theirs)
        moe = f"{theirs}.block_sparse_moe"
        found.append(same(f"{ours}.feed_forward.router.weight", f"{moe}.gate.weight"))
        found += [
            stacked(
                f"{ours}.feed_forward.experts.{name}",
                [f"{moe}.experts.{expert}.{w}.weight" for expert in range(model.num_experts)],
            )
            for name, w in _EXPERT.items()
        ]
    return found


MIXTRAL = Family(*words.MIXTRAL, _pieces, "model.", IGNORED)
