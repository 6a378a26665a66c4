"""Who may see whom: causality, windows, documents, and the distance that ALiBi charges for.

A `Sight` is made once per forward pass and shared by all layers.

Shapes: B sequences, T new positions, S positions seen and new, H heads.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch


class Sight(NamedTuple):
    """Which keys each query may see."""

    causal: bool
    """Query t of T sees the keys up to S - T + t of S. Alone, it needs no matrix."""
    mask: torch.Tensor | None = None
    """Broadcasts to (B, H, T, S): true where a query may look, or a number to add to its score.
    A causal sight's mask hides the later keys as well."""


EVERYTHING = Sight(causal=False)
CAUSAL = Sight(causal=True)


def see(
    length: int,
    *,
    seen: int = 0,
    causal: bool = True,
    window: int | None = None,
    documents_BT: torch.Tensor | None = None,
    alibi_heads: int | None = None,
    device: torch.device | None = None,
) -> Sight:
    """What each of ``length`` new positions may see.

    Args:
        length: New positions, T.
        seen: Positions before them, in the caches.
        causal: Whether the positions after it are hidden from each.
        window: A position sees itself and ``window - 1`` before it (Mistral, arXiv 2310.06825).
        documents_BT: The document of each new position; nobody sees another document. Padding, -1,
            sees padding, so that no row is empty.
        alibi_heads: Number of heads whose scores sink with the distance, each at its own rate.
        device: Where a mask is made.
    """
    total = seen + length
    if window is not None and window >= total:
        window = None
    if documents_BT is None and window is None and alibi_heads is None:
        # A single query at the end of the keys sees all of them.
        return CAUSAL if causal and length > 1 else EVERYTHING
    query_T1 = torch.arange(seen, total, device=device)[:, None]
    key_S = torch.arange(total, device=device)
    mask = (key_S <= query_T1 if causal else key_S >= 0).expand(length, total)
    if window is not None:
        mask = mask & (key_S > query_T1 - window)
    mask = mask[None, None]
    if documents_BT is not None:
        assert not seen, "documents are a matter of training; a cache holds one"
        mask = mask & (documents_BT[:, :, None] == documents_BT[:, None, :])[:, None]
    if alibi_heads is not None:
        slope_H11 = torch.tensor(alibi_slopes(alibi_heads), device=device)[:, None, None]
        distance_HTS = -slope_H11 * (query_T1 - key_S).abs()
        mask = torch.where(mask, distance_HTS, -math.inf)
    return Sight(causal, mask)


def alibi_slopes(heads: int) -> list[float]:
    """How much each head's score sinks per token of distance (arXiv 2108.12409, section 3).

    A geometric sequence from 2^(-8/n); where n is no power of two, the heads beyond the largest
    power below it take every other slope of twice as many, as in the paper's code.
    """
    power = 2 ** int(math.log2(heads))
    slopes = [2 ** (-8 / power * (head + 1)) for head in range(power)]
    return slopes + [2 ** (-4 / power * (2 * head + 1)) for head in range(heads - power)]


def positions_in_documents(documents_BT: torch.Tensor) -> torch.Tensor:
    """The place (B, T) of each position in its document, counted from 0."""
    place_BT = torch.arange(documents_BT.shape[1], device=documents_BT.device).expand_as(
        documents_BT
    )
    begins_BT = torch.ones_like(documents_BT, dtype=torch.bool)
    begins_BT[:, 1:] = documents_BT[:, 1:] != documents_BT[:, :-1]
    return place_BT - torch.where(begins_BT, place_BT, 0).cummax(dim=1).values
