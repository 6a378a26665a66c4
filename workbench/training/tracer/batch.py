"""A micro-batch as the trainer's data make it, at its largest, with any tokens in it.

Shapes: B sequences, T positions, S positions of an encoder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from workbench.data.corrupt import noise_counts, raw_length
from workbench.models.base import IGNORE, Batch

if TYPE_CHECKING:
    from workbench.config.schema import Config

_PADDING = -1
_CLASSES = 2
"""A class that every classifying head has is below it."""


def batch_of(config: Config) -> Batch:
    """One micro-batch."""
    model, data, sequences = config.model, config.data, config.training.batch_size
    length = data.max_length
    answers = model.model_type == "t5" and data.format != "text"
    alone = data.packing == "none" or answers or data.format.endswith("classification")
    # Sequences of their own are as long as the longest of them; the others are filled up.
    padded = alone and sequences > 1
    if model.model_type == "t5":
        read, written = length, length
        if not answers:
            raw = raw_length(length, data.noise_density, data.mean_noise_span_length)
            noise, spans = noise_counts(raw, data.noise_density, data.mean_noise_span_length)
            read, written = raw - noise + spans + 1, noise + spans + 1
        return Batch(
            _tokens(config, written),
            _tokens(config, written),
            _documents(sequences, written) if padded else None,
            _tokens(config, read),
            _documents(sequences, read) if padded else None,
        )
    tokens = _tokens(config, length)
    targets = _tokens(config, length)
    if model.model_type == "bert" and model.head != "language":
        targets = torch.full_like(tokens, IGNORE)
        targets[:, 0] = torch.randint(0, _CLASSES, (sequences,))
    documents = padded or (data.packing == "documents" and not alone)
    return Batch(tokens, targets, _documents(sequences, length) if documents else None)


def _tokens(config: Config, length: int) -> torch.Tensor:
    return torch.randint(0, config.model.vocab_size, (config.training.batch_size, length))


def _documents(sequences: int, length: int) -> torch.Tensor:
    documents_BT = torch.zeros(sequences, length, dtype=torch.int64)
    documents_BT[1:, -1] = _PADDING
    return documents_BT
