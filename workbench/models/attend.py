"""The attention product itself, for every family: scores, softmax, weighted sum of the values.

A family makes queries, keys and values and says who may see whom; `attend` does the rest.

Shapes: B sequences, T queries, S keys, H query heads, G key and value heads, K width of a query or
key head, V width of a value head.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F
from ava_kernels import causal_attention
from torch.nn.attention import SDPBackend, sdpa_kernel

from workbench.errors import ConfigError

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

    Raises:
        ConfigError: The device has no ``flash`` that can do this.
    """
    q, k, v = q_BTHK.transpose(1, 2), k_BSGK.transpose(1, 2), v_BSGV.transpose(1, 2)
    if implementation == "eager":
        y_BHTV = _eager(q, k, v, sight, scale, dropout)
    elif implementation == "auto" and _is_plain(sight, dropout):
        mask_BTS = None if sight.mask is None else sight.mask[:, 0]
        y_BHTV = causal_attention(q, k, v, mask_BTS, scale=scale)
    elif implementation == "flash":
        y_BHTV = _flash(q, k, v, sight, scale, dropout)
    else:
        y_BHTV = _sdpa(q, k, v, sight, scale, dropout)
    return y_BHTV.transpose(1, 2)


def _is_plain(sight: Sight, dropout: float) -> bool:
    """Whether the kernel for causal attention has all that is asked for."""
    if dropout or not sight.causal:
        return False
    return sight.mask is None or (sight.mask.dtype == torch.bool and sight.mask.shape[1] == 1)


def _sdpa(
    q_BHTK: torch.Tensor,
    k_BGSK: torch.Tensor,
    v_BGSV: torch.Tensor,
    sight: Sight,
    scale: float | None,
    dropout: float,
) -> torch.Tensor:
    mask = _causal_mask(q_BHTK, k_BGSK) if _is_staggered(q_BHTK, k_BGSK, sight) else sight.mask
    if mask is not None and mask.dtype != torch.bool:
        mask = mask.to(q_BHTK.dtype)
    return F.scaled_dot_product_attention(
        q_BHTK,
        k_BGSK,
        v_BGSV,
        attn_mask=mask,
        dropout_p=dropout,
        is_causal=sight.causal and mask is None,
        scale=scale,
        enable_gqa=q_BHTK.shape[1] != k_BGSK.shape[1],
    )


def _flash(
    q_BHTK: torch.Tensor,
    k_BGSK: torch.Tensor,
    v_BGSV: torch.Tensor,
    sight: Sight,
    scale: float | None,
    dropout: float,
) -> torch.Tensor:
    with sdpa_kernel(_FLASH), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they list what each kernel lacks, in C++ words
        try:
            return _sdpa(q_BHTK, k_BGSK, v_BGSV, sight, scale, dropout)
        except RuntimeError as error:
            if "No available kernel" not in str(error):
                raise
    wanted = ["attention dropout"] if dropout else []
    if q_BHTK.shape[-1] != v_BGSV.shape[-1]:
        wanted.append("heads whose values have another width than their keys")
    raise ConfigError(
        "this device has no flash attention for what the model asks for",
        where="model.attention_implementation",
        why=f"it would have to do {' and '.join(wanted)}" if wanted else None,
        fix="use --model.attention_implementation auto",
    )


def _is_staggered(q_BHTK: torch.Tensor, k_BGSK: torch.Tensor, sight: Sight) -> bool:
    """Whether SDPA's own flag is no good: it starts counting at the first key."""
    return sight.causal and sight.mask is None and q_BHTK.shape[2] != k_BGSK.shape[2]


def _causal_mask(q_BHTK: torch.Tensor, k_BGSK: torch.Tensor) -> torch.Tensor:
    queries, keys = q_BHTK.shape[2], k_BGSK.shape[2]
    ones = torch.ones(queries, keys, dtype=torch.bool, device=q_BHTK.device)
    return ones.tril(keys - queries)


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
    if sight.causal and mask is None:
        mask = _causal_mask(q_BHTK, k_BGSK)
    if mask is not None and mask.dtype == torch.bool:
        score_BHTS = score_BHTS.masked_fill(~mask, -math.inf)
    elif mask is not None:
        score_BHTS = score_BHTS + mask
    weight_BHTS = F.dropout(score_BHTS.softmax(dim=-1).to(q_BHTK.dtype), dropout)
    y_BGMV = weight_BHTS.view(batch, groups, -1, keys) @ v_BGSV
    return y_BGMV.view(batch, heads, queries, -1)
