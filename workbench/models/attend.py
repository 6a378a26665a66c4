"""The attention product itself, for every family: scores, softmax, weighted sum of the values.

A family makes queries, keys and values and says who may see whom; `attend` does the rest.

Shapes: B sequences, T queries, S keys, H query heads, G key and value heads, K width of a query or
key head, V width of a value head.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

if TYPE_CHECKING:
    from workbench.models.sight import Sight

Implementation = Literal["auto", "eager", "sdpa", "flash"]

# Both keep no matrix of T x S scores; the second also takes masks on a GPU.
_FLASH = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION]


def attend(
    q_BTHK: torch.Tensor,
    k_BSGK: torch.Tensor,
    v_BSGV: torch.Tensor,
    sight: Sight,
    *,
    scale: float | None = None,
    dropout: float = 0.0,
    implementation: Implementation = "auto",
) -> torch.Tensor:
    """Mix the values that each query may see, by how well their keys match.

    Args:
        q_BTHK: Queries.
        k_BSGK: Keys; each serves H / G query heads.
        v_BSGV: Values.
        sight: Who may see whom.
        scale: Multiplies the scores; None is 1 / sqrt(K).
        dropout: Share of the weights that is zeroed.
        implementation: ``eager`` makes the scores as a matrix; ``sdpa`` is PyTorch's choice;
            ``flash`` is one that never has that matrix; ``auto`` is the fastest that is known.

    Returns:
        (B, T, H, V).
    """
    q, k, v = q_BTHK.transpose(1, 2), k_BSGK.transpose(1, 2), v_BSGV.transpose(1, 2)
    if implementation == "eager":
        return _eager(q, k, v, sight, scale, dropout).transpose(1, 2)
    mask = sight.mask
    if mask is not None and mask.dtype != torch.bool:
        mask = mask.to(q.dtype)
    if sight.causal and q.shape[2] != k.shape[2]:
        # SDPA's own flag starts counting at the first key.
        ones = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=q.device)
        mask = ones.tril(k.shape[2] - q.shape[2])
    options: dict[str, Any] = {
        "attn_mask": mask,
        "dropout_p": dropout,
        "is_causal": sight.causal and mask is None,
        "scale": scale,
        "enable_gqa": q.shape[1] != k.shape[1],
    }
    if implementation == "flash":
        with sdpa_kernel(_FLASH):
            y_BHTV = F.scaled_dot_product_attention(q, k, v, **options)
    else:
        y_BHTV = F.scaled_dot_product_attention(q, k, v, **options)
    return y_BHTV.transpose(1, 2)


def _eager(
    q_BHTK: torch.Tensor,
    k_BGSK: torch.Tensor,
    v_BGSV: torch.Tensor,
    sight: Sight,
    scale: float | None,
    dropout: float,
) -> torch.Tensor:
    """Attention as it is defined (arXiv 1706.03762, equation 1); the softmax in fp32."""
    batch, heads, queries, width = q_BHTK.shape
    groups, keys = k_BGSK.shape[1], k_BGSK.shape[2]
    scale = 1 / math.sqrt(width) if scale is None else scale
    # The H / G query heads of one key head stand below each other as one larger query.
    q_BGMK = (q_BHTK * scale).reshape(batch, groups, heads // groups * queries, width)
    score_BHTS = (q_BGMK @ k_BGSK.transpose(2, 3)).view(batch, heads, queries, keys).float()
    mask = sight.mask
    if sight.causal:
        ones = torch.ones(queries, keys, dtype=torch.bool, device=q_BHTK.device)
        mask = ones.tril(keys - queries)
    if mask is not None and mask.dtype == torch.bool:
        score_BHTS = score_BHTS.masked_fill(~mask, -math.inf)
    elif mask is not None:
        score_BHTS = score_BHTS + mask
    weight_BHTS = F.dropout(score_BHTS.softmax(dim=-1).to(q_BHTK.dtype), dropout)
    y_BGMV = weight_BHTS.view(batch, groups, -1, keys) @ v_BGSV
    return y_BGMV.view(batch, heads, queries, -1)
