"""The symbols of the closed forms, and what they are for a config."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.config.size import head_width
from workbench.estimate.network.loss import chunk_tokens

if TYPE_CHECKING:
    from workbench.config.schema import Config

MEANINGS = {
    "A": "alignment of the allocator in bytes",
    "N": "devices that share each weight",
    "B": "sequences of a micro-batch",
    "T": "tokens of a sequence",
    "D": "hidden_size",
    "H": "num_attention_heads",
    "G": "num_key_value_heads",
    "K": "width of a head",
    "R": "features of a head that rotary positions turn",
    "R2": "half of R",
    "F": "intermediate_size",
    "V": "vocab_size",
    "P": "max_position_embeddings",
    "C": "tokens whose logits exist at once",
    "Z": "tokens of the last such chunk",
    "W": "scores that a CPU's attention holds at once",
}
"""What each symbol stands for, as `ava estimate --explain` prints it."""

SYMBOLS = tuple(MEANINGS)

CUDA_ALIGNMENT = 512
"""Bytes that PyTorch's CUDA allocator rounds up to (`kMinBlockSize`, CUDACachingAllocator.cpp)."""


def symbols_of(config: Config, *, alignment: int, shards: int = 1) -> tuple[int, ...]:
    """The numbers behind `SYMBOLS`, in their order."""
    model = config.model
    heads = model.num_attention_heads
    groups = model.num_key_value_heads or heads
    width = head_width(model)
    turned = int(width * model.partial_rotary_factor)
    sequences, length = config.training.batch_size, config.data.max_length
    tokens = sequences * length
    chunk = min(chunk_tokens(model.vocab_size), tokens)
    return (
        alignment,
        shards,
        sequences,
        length,
        model.hidden_size,
        heads,
        groups,
        width,
        turned,
        turned // 2,
        model.intermediate_size,
        model.vocab_size,
        model.max_position_embeddings,
        chunk,
        tokens - (-(-tokens // chunk) - 1) * chunk,
        _scores(heads, groups, sequences, length),
    )


def _scores(heads: int, groups: int, sequences: int, length: int) -> int:
    """Numbers of the largest block of scores, as `ava_kernels.attention` cuts them."""
    members, rows = heads // groups, min(64, length)
    at_once = max(1, 2**18 // (members * rows * length))
    return min(at_once, sequences * groups) * members * rows * length
