"""Qwen2: biases on queries, keys and values. Qwen3: a norm on each query and key head instead.

The experts of Qwen3-MoE are those of Mixtral, under DeepSeek's names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.config.huggingface import qwen as words
from workbench.models.huggingface.deepseek import expert_pieces
from workbench.models.huggingface.family import Family, Piece
from workbench.models.huggingface.llama import (
    IGNORED,
    attention_pieces,
    frame_pieces,
    pieces,
)

if TYPE_CHECKING:
    from workbench.config.schema import ModelConfig


def _pieces_moe(model: ModelConfig) -> list[Piece]:
    found = frame_pieces(model)
    for layer in range(model.num_layers):
        ours, theirs = f"blocks.{layer}", f"model.layers.{layer}"
        found += attention_pieces(model, ours, theirs) + expert_pieces(model, ours, theirs)
    return found


QWEN2 = Family(*words.QWEN2, pieces, "model.", IGNORED)
QWEN3 = Family(*words.QWEN3, pieces, "model.", IGNORED)
QWEN3_MOE = Family(*words.QWEN3_MOE, _pieces_moe, "model.", IGNORED)
