"""Causal attention on a CPU, in pieces that stay in its cache.

PyTorch's own CPU kernel (``scaled_dot_product_attention``) multiplies bf16 slowly in its backward
pass and computes masked halves in full. Here the queries are cut into blocks; a block meets only
the keys up to its end, which saves up to half of the work, and few enough heads at once that its
scores stay in the second-level cache. The products are batched matrix products, which use the
CPU's bf16 instructions. Nothing but queries, keys and values is kept for the backward pass.

Milliseconds forward + backward on one core of a Zen 4 (torch 2.13, medians), SDPA and this file:

    sequences x heads x positions x width   fp32          bf16
    8 x 8 x   64 x  32                      3.4    4.1     9.2    2.4
    8 x 8 x  256 x  32                     31.6   29.8    38.8   19.6
    2 x 8 x  256 x  64                     14.6   12.3    14.2    7.0
    8 x 8 x  512 x  32                    122     86     125     69
    1 x 8 x  512 x 128                     49     33      43     35
    1 x 8 x 1024 x  64                     72     60      62     58
    1 x 8 x 2048 x 128                    478    438     365    558

Hence the rule in ``_refuse``: up to 1,024 positions, and in fp32 from 128 on.

Shapes: B sequences, T positions, H query heads, G key and value heads, M = H / G, K width of a
query or key head, V width of a value head, R rows of a block, S keys that a block meets,
N = B G key heads of all sequences, Q = M R query rows that meet one key head.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F

from ava_kernels.dispatch import Implementation, Operation, always

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROWS = 64
# Scores at hand at once: 1 MiB in fp32. 64 Ki to 512 Ki were tried; half and double cost 5 to 20 %.
_SCORES = 2**18


class _Block(NamedTuple):
    """Some query rows of some heads, and the keys they meet."""

    heads: slice
    """Of the N key heads of all sequences."""
    rows: slice
    keys: slice
    mask_RS: torch.Tensor | None


def _blocks(q_NMTK: torch.Tensor, mask_BTT: torch.Tensor | None, batch: int) -> Iterator[_Block]:
    heads, members, length, _ = q_NMTK.shape
    at_once = max(1, _SCORES // (members * min(_ROWS, length) * length))
    # A mask of one sequence is no good for the heads of another.
    sequences = 1 if mask_BTT is None or len(mask_BTT) == 1 else batch
    for sequence in range(sequences):
        first, last = (heads // sequences * each for each in (sequence, sequence + 1))
        for head in range(first, last, at_once):
            for row in range(0, length, _ROWS):
                end = min(row + _ROWS, length)
                rows, keys = slice(row, end), slice(0, end)
                mask = None if mask_BTT is None else ~mask_BTT[sequence, rows, keys]
                yield _Block(slice(head, min(head + at_once, last)), rows, keys, mask)


def _weights(q_NMRK: torch.Tensor, k_NSK: torch.Tensor, block: _Block) -> torch.Tensor:
    """The softmax (N, M, R, S) of a block's scores."""
    heads, members, rows, _ = q_NMRK.shape
    score_NMRS = torch.bmm(q_NMRK.reshape(heads, members * rows, -1), k_NSK.transpose(1, 2))
    score_NMRS = score_NMRS.view(heads, members, rows, -1)
    score_NMRS[..., block.rows].add_(_later(rows, q_NMRK.dtype))
    if block.mask_RS is not None:
        score_NMRS.masked_fill_(block.mask_RS, -math.inf)
    return torch.softmax(score_NMRS, dim=-1)


@lru_cache(maxsize=256)
def _later(rows: int, dtype: torch.dtype) -> torch.Tensor:
    """What hides the later positions of a square (R, R): -inf above the diagonal."""
    return torch.full((rows, rows), -math.inf, dtype=dtype, device="cpu").triu_(1)


def forget() -> None:
    """Let go of the masks that are kept for the next call."""
    _later.cache_clear()


def _split(x_BHTK: torch.Tensor, groups: int) -> torch.Tensor:
    """The heads of all sequences (N, M, T, K) in a row, M of them for each key head."""
    batch, heads, length, width = x_BHTK.shape
    return x_BHTK.reshape(batch * groups, heads // groups, length, width).contiguous()


@torch.library.custom_op("ava::causal_attention", mutates_args=())
def _forward(
    q_BHTK: torch.Tensor,
    k_BGTK: torch.Tensor,
    v_BGTV: torch.Tensor,
    mask_BTT: torch.Tensor | None,
    scale: float,
) -> torch.Tensor:
    batch, heads, length, _ = q_BHTK.shape
    groups = k_BGTK.shape[1]
    q_NMTK = _split(q_BHTK * scale, groups)
    k_NTK, v_NTV = (_split(each, groups)[:, 0] for each in (k_BGTK, v_BGTV))
    y_NMTV = v_BGTV.new_empty(*q_NMTK.shape[:3], v_NTV.shape[-1])
    for block in _blocks(q_NMTK, mask_BTT, batch):
        n, r, s, _ = block
        p_NMRS = _weights(q_NMTK[n, :, r], k_NTK[n, s], block)
        y_NQV = torch.bmm(p_NMRS.flatten(1, 2), v_NTV[n, s])
        y_NMTV[n, :, r] = y_NQV.view(*p_NMRS.shape[:3], -1)
    del p_NMRS, y_NQV  # what comes now needs their room
    # Laid out as the next matrix wants it, so that its reshape copies nothing.
    y_BHTV = y_NMTV.view(batch, heads, length, -1)
    return y_BHTV.transpose(1, 2).contiguous().transpose(1, 2)


@_forward.register_fake
def _(
    q_BHTK: torch.Tensor,
    k_BGTK: torch.Tensor,  # noqa: ARG001 - the signature is the operator's
    v_BGTV: torch.Tensor,
    mask_BTT: torch.Tensor | None,  # noqa: ARG001
    scale: float,  # noqa: ARG001
) -> torch.Tensor:
    batch, heads, length, _ = q_BHTK.shape
    return v_BGTV.new_empty(batch, length, heads, v_BGTV.shape[-1]).transpose(1, 2)


@torch.library.custom_op("ava::causal_attention_backward", mutates_args=())
def _backward(
    grad_BHTV: torch.Tensor,
    q_BHTK: torch.Tensor,
    k_BGTK: torch.Tensor,
    v_BGTV: torch.Tensor,
    mask_BTT: torch.Tensor | None,
    scale: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    batch, groups = k_BGTK.shape[:2]
    q_NMTK, grad_NMTV = _split(q_BHTK * scale, groups), _split(grad_BHTV, groups)
    k_NTK, v_NTV = (_split(each, groups)[:, 0] for each in (k_BGTK, v_BGTV))
    dq_NMTK, dk_NTK, dv_NTV = (
        torch.empty_like(q_NMTK),
        torch.zeros_like(k_NTK),
        torch.zeros_like(v_NTV),
    )
    for block in _blocks(q_NMTK, mask_BTT, batch):
        n, r, s, _ = block
        q_NMRK, k_NSK, v_NSV = q_NMTK[n, :, r], k_NTK[n, s], v_NTV[n, s]
        p_NQS = _weights(q_NMRK, k_NSK, block).flatten(1, 2)
        grad_NQV = grad_NMTV[n, :, r].flatten(1, 2)
        dv_NTV[n, s].baddbmm_(p_NQS.transpose(1, 2), grad_NQV)
        dp_NQS = torch.bmm(grad_NQV, v_NSV.transpose(1, 2))
        # One pass over the scores, where autograd's formula written out takes four.
        ds_NQS = torch._softmax_backward_data(dp_NQS, p_NQS, -1, p_NQS.dtype)  # noqa: SLF001
        dq_NMTK[n, :, r] = torch.bmm(ds_NQS, k_NSK).view_as(q_NMRK)
        dk_NTK[n, s].baddbmm_(ds_NQS.transpose(1, 2), q_NMRK.flatten(1, 2))
    return (
        dq_NMTK.mul_(scale).view_as(q_BHTK),
        dk_NTK.view_as(k_BGTK),
        dv_NTV.view_as(v_BGTV),
    )


@_backward.register_fake
def _(
    grad_BHTV: torch.Tensor,  # noqa: ARG001 - the signature is the operator's
    q_BHTK: torch.Tensor,
    k_BGTK: torch.Tensor,
    v_BGTV: torch.Tensor,
    mask_BTT: torch.Tensor | None,  # noqa: ARG001
    scale: float,  # noqa: ARG001
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return tuple(  # type: ignore[return-value]
        torch.empty_like(each, memory_format=torch.contiguous_format)
        for each in (q_BHTK, k_BGTK, v_BGTV)
    )


def _keep(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:  # noqa: ARG001
    *tensors, ctx.scale = inputs
    ctx.save_for_backward(*tensors)


def _gradient(ctx: Any, grad_BHTV: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
    dq, dk, dv = _backward(grad_BHTV, *ctx.saved_tensors, ctx.scale)
    return dq, dk, dv, None, None


_forward.register_autograd(_gradient, setup_context=_keep)


def _blocked(
    q_BHTK: torch.Tensor,
    k_BGTK: torch.Tensor,
    v_BGTV: torch.Tensor,
    mask_BTT: torch.Tensor | None = None,
    *,
    scale: float | None = None,
) -> torch.Tensor:
    scale = q_BHTK.shape[-1] ** -0.5 if scale is None else scale
    y_BHTV: torch.Tensor = _forward(q_BHTK, k_BGTK, v_BGTV, mask_BTT, scale)
    return y_BHTV


def _refuse(
    q_BHTK: torch.Tensor,
    k_BGTK: torch.Tensor,
    v_BGTV: torch.Tensor,  # noqa: ARG001 - the signature is the operation's
    mask_BTT: torch.Tensor | None = None,
    *,
    scale: float | None = None,  # noqa: ARG001
) -> str | None:
    length = q_BHTK.shape[2]
    if q_BHTK.device.type != "cpu":
        return "only a CPU gains from it"
    if length != k_BGTK.shape[2]:
        return "there are keys of earlier positions"
    if mask_BTT is not None and mask_BTT.dtype != torch.bool:
        return "the mask is added"
    if q_BHTK.dtype == torch.bfloat16:
        return "a long sequence" if length > 1024 else None
    if q_BHTK.dtype == torch.float32:
        return None if 128 <= length <= 1024 else "a short or a long sequence"
    return f"no {str(q_BHTK.dtype).removeprefix('torch.')}"


def _sdpa(
    q_BHTK: torch.Tensor,
    k_BGTK: torch.Tensor,
    v_BGTV: torch.Tensor,
    mask_BTT: torch.Tensor | None = None,
    *,
    scale: float | None = None,
) -> torch.Tensor:
    queries, keys = q_BHTK.shape[2], k_BGTK.shape[2]
    mask = None if mask_BTT is None else mask_BTT[:, None]
    if mask is not None or queries != keys:
        # SDPA's own flag excludes a mask, and starts counting at the first key.
        causal = torch.ones(queries, keys, dtype=torch.bool, device=q_BHTK.device)
        causal = causal.tril(keys - queries)
        if mask is None:
            mask = causal
        elif mask.dtype == torch.bool:
            mask = mask & causal
        else:
            mask = mask.masked_fill(~causal, -math.inf).to(q_BHTK.dtype)
    return F.scaled_dot_product_attention(
        q_BHTK,
        k_BGTK,
        v_BGTV,
        attn_mask=mask,
        is_causal=mask is None,
        scale=scale,
        enable_gqa=q_BHTK.shape[1] != k_BGTK.shape[1],
    )


causal_attention = Operation(
    "causal_attention",
    Implementation("blocked", _blocked, "blocks that stay in the cache", _refuse),
    Implementation("sdpa", _sdpa, "torch's scaled_dot_product_attention", always),
)
"""``causal_attention(q_BHTK, k_BGTK, v_BGTV, mask_BTT=None, scale=None) -> y_BHTV``: attention in
which no position sees a later one.

Args:
    q_BHTK: Queries.
    k_BGTK: Keys; each serves H / G query heads.
    v_BGTV: Values.
    mask_BTT: What else may not be seen: false, or a number to add to the score; B may be 1. Every
        position has to see at least itself.
    scale: Multiplies the scores; None is 1 / sqrt(K).
    implementation: ``blocked`` or ``sdpa``; None picks.
"""
