"""The symbols of the closed forms, and what they are for a config."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from workbench.config.size import head_width
from workbench.estimate.network.lengths import lengths_of
from workbench.estimate.network.lora import LORA_MEANINGS
from workbench.estimate.network.loss import chunk_tokens
from workbench.estimate.network.mla_structure import MLA_MEANINGS, mla_symbols
from workbench.estimate.network.moe_structure import MOE_MEANINGS, moe_symbols
from workbench.estimate.network.mtp_structure import MTP_MEANINGS

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
    "X": "scores that a CPU's attention holds at once, forwards",
    "Y": "scores that it holds at once, backwards",
    "S": "tokens that an encoder reads",
    "J": "classes of a head",
    **MOE_MEANINGS,
    **MLA_MEANINGS,
    **LORA_MEANINGS,
    **MTP_MEANINGS,
}
"""What each symbol stands for, as `ava estimate --explain` prints it."""

SYMBOLS = tuple(MEANINGS)

CUDA_ALIGNMENT = 512
"""Bytes that PyTorch's CUDA allocator rounds up to (`kMinBlockSize`, CUDACachingAllocator.cpp)."""


def symbols_of(
    config: Config, *, alignment: int, shards: int = 1, compute: int = 4
) -> tuple[int, ...]:
    """The numbers behind `SYMBOLS`, in their order.

    Args:
        config: The config.
        alignment: What the allocator rounds up to.
        shards: Devices that share each weight.
        compute: Bytes of the compute dtype.
    """
    model = config.model
    heads = model.num_attention_heads
    groups = model.num_key_value_heads or heads
    width = 0 if model.mla.enabled else head_width(model)
    turned, value = int(width * model.partial_rotary_factor), width
    if model.mla.enabled:
        mla = model.mla
        turned, value, groups = mla.qk_rope_head_dim, mla.v_head_dim, heads
        width = mla.qk_nope_head_dim + turned
    lengths = lengths_of(config)
    sequences, length = config.training.batch_size, lengths.written
    tokens = sequences * length
    chunk = min(chunk_tokens(lengths.outputs), tokens)
    apart = lengths.documents and sequences > 1
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
        *_scores(heads, groups, 1 if apart else sequences, length, width, value),
        lengths.read,
        model.num_labels,
        *moe_symbols(model, tokens, width=compute),
        *mla_symbols(model),
        config.lora.r,
        config.training.mtp.head_intermediate_size or model.hidden_size,
    )


@lru_cache(maxsize=1024)
def _scores(
    heads: int, groups: int, sequences: int, length: int, width: int, value: int
) -> tuple[int, int]:
    """Numbers that `ava_kernels.attention` holds at once in its blocks, forwards and backwards.

    A loop goes over blocks of at most 64 rows, which meet the keys up to their end; what a block
    computed lives until the next one has its own.
    """
    members = max(1, heads // groups)  # more groups than heads is a finding, and no estimate
    at_once = max(1, 2**18 // (members * min(64, length) * length))
    together = min(at_once, sequences * groups) * members
    forward = backward = scores = before = rows_before = 0
    for row in range(0, length, 64):
        rows = min(64, length - row)
        scores = together * rows * (row + rows)
        y, y_before = together * rows * value, together * rows_before * value
        forward = max(forward, before + y_before + 2 * scores, scores + y + y_before)
        # The gradient is copied where several query heads share a key head.
        grad, grad_before = (y, y_before) if members > 1 else (0, 0)
        backward = max(
            backward,
            3 * before + grad_before + 2 * scores,
            2 * before + 2 * scores + grad,
            before + 3 * scores + grad,
            3 * scores + grad + together * rows * width,
        )
        before, rows_before = scores, rows
    return forward, backward
