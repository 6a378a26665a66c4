"""Which kernel PyTorch would attend with, and what it allocates.

`F.scaled_dot_product_attention` looks at devices and modes, and a trace has neither: its tensors
are a CPU's, and under a dispatch mode an addition in place becomes one out of place. So the choice
and the steps of the plain way are written out here, as in
aten/src/ATen/native/transformers/attention.cpp and cuda/sdp_utils.cpp (torch 2.13).

Shapes: B sequences, T queries, S keys, H query heads, G key heads, K width of a head.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal
from unittest import mock

import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

Kernel = Literal["plain", "flash", "efficient"]

_ROW = 16
"""Bytes that the rows of a head are multiples of for the efficient kernel."""

_ALIGNED = 8
"""Elements that a row of an added mask is filled up to for the efficient kernel."""


def attends(*, cpu: bool) -> AbstractContextManager[Any]:
    """While it lasts, attention allocates what it would on that device."""
    original = F.scaled_dot_product_attention

    def sdpa(
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attn_mask: torch.Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,  # noqa: FBT001, FBT002 - torch's signature
        scale: float | None = None,
        enable_gqa: bool = False,  # noqa: FBT001, FBT002
    ) -> torch.Tensor:
        kernel = _on_cuda(query, key, attn_mask)
        if cpu:
            kernel = _on_cpu(attn_mask, dropout_p)
        if query.shape[-1] != value.shape[-1] and kernel != "plain":
            kernel = _uneven(query, value, cpu=cpu)
        if kernel == "plain":
            return _plain(query, key, value, attn_mask, dropout_p, is_causal, scale)
        if kernel == "efficient":
            return _efficient(query, key, value, attn_mask, dropout_p, scale)
        # The same operator stands for CUDA's: it keeps the same, and knows no dropout.
        return original(
            query, key, value, attn_mask, 0.0, is_causal, scale=scale, enable_gqa=enable_gqa
        )

    return mock.patch.object(F, "scaled_dot_product_attention", sdpa)


def _on_cpu(mask: torch.Tensor | None, dropout: float) -> Kernel:
    """The kernel for CPUs drops nothing, and gives an added mask no gradient."""
    return "plain" if dropout or (mask is not None and mask.requires_grad) else "flash"


def _on_cuda(q: torch.Tensor, k: torch.Tensor, mask: torch.Tensor | None) -> Kernel:
    """Flash attention is for 16 bits and takes no mask, the efficient kernel no shared key heads.

    Without a mask the efficient kernel keeps what flash attention does.
    """
    shared = q.shape[1] != k.shape[1]
    if mask is None:
        return "plain" if shared and q.dtype == torch.float32 else "flash"
    return "plain" if shared else "efficient"


def _uneven(q: torch.Tensor, v: torch.Tensor, *, cpu: bool) -> Kernel:
    """Values of another width than keys: CUDA's efficient kernel takes them, in whole 16 bytes."""
    fits = not any(each.shape[-1] * each.element_size() % _ROW for each in (q, v))
    return "efficient" if fits and not cpu else "plain"


def _plain(
    query_: torch.Tensor,
    key_: torch.Tensor,
    value_: torch.Tensor,
    attn_mask: torch.Tensor | None,
    dropout_p: float,
    is_causal: bool,  # noqa: FBT001
    scale: float | None,
) -> torch.Tensor:
    """`_scaled_dot_product_attention_math`, with its variables and their lives."""
    origin = query_.dtype
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        attn_mask = _added(attn_mask, origin)
    query_acc, key_acc, value_acc = (each.float() for each in (query_, key_, value_))
    factor = math.sqrt(1 / math.sqrt(query_.shape[-1]) if scale is None else scale)
    query = query_acc * factor
    if is_causal:
        shape = (query.shape[-2], key_.shape[-2])
        attn_mask = _added(torch.ones(shape, dtype=torch.bool).tril(), query.dtype)
    key, value = _by_heads(key_acc, query), _by_heads(value_acc, query)
    attn = torch.matmul(query, key.transpose(-2, -1) * factor)
    if attn_mask is not None:
        # As `areAnyTensorSubclassLike` has it: in place unless a mode watches, as that of selective
        # recomputation does.
        attn = attn + attn_mask if _watched() else attn.add_(attn_mask)
    attn = torch._safe_softmax(attn, -1)  # noqa: SLF001
    if dropout_p > 0:
        attn = F.dropout(attn, dropout_p)
    weights = attn.to(origin)
    product = torch.matmul(attn, value).to(origin)
    del weights
    return product


def _watched() -> bool:
    """Whether another dispatch mode than the trace's own is active."""
    return len(_get_current_dispatch_mode_stack()) > 1


def _added(mask: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """`convert_boolean_attn_mask`: 0 where a query may look, minus infinity elsewhere."""
    nothing, hidden = (torch.tensor(each, dtype=dtype) for each in (0.0, -math.inf))
    return torch.where(mask, nothing, hidden)


def _by_heads(x: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
    """`pre_process_group_query_attention_input`."""
    members = query.shape[1] // x.shape[1]
    return x if members == 1 else x.repeat_interleave(members, dim=1)


def _efficient(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    mask: torch.Tensor | None,
    dropout: float,
    scale: float | None,
) -> torch.Tensor:
    """CUDA's memory-efficient kernel, which takes a mask that is added."""
    if mask is not None:
        if mask.dtype == torch.bool:
            mask = _added(mask, q.dtype)
        keys = mask.shape[-1]
        if keys % _ALIGNED:
            mask = F.pad(mask, (0, -keys % _ALIGNED))[..., :keys]
        mask = mask.expand(*q.shape[:-1], keys)
    inputs = (q, k, v) if mask is None else (q, k, v, mask)
    wanted = torch.is_grad_enabled() and any(each.requires_grad for each in inputs)
    y: torch.Tensor = torch.ops.aten._scaled_dot_product_efficient_attention(  # noqa: SLF001
        q, k, v, mask, wanted, dropout, scale=scale
    )[0]
    return y
