"""Output projection and cross-entropy in one, without ever holding all logits.

The logits of N tokens are N x V numbers, often the largest tensor of a training step. Here they
exist for a chunk of tokens at a time, and the gradient is computed while they are at hand, so the
backward pass only scales it. Products run in the dtype of the hidden states; softmax, loss and the
sum over chunks are fp32.

Shapes: N tokens, D width, V vocabulary, C tokens of one chunk.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

from ava_kernels.dispatch import Implementation, Operation, always

# Logits of one chunk: 16 Mi numbers, 64 MiB in fp32. With V = 65,536 that is 256 tokens, the
# measured best of memory against time; a byte vocabulary is one chunk up to 65,536 tokens.
_CHUNK_ELEMENTS = 2**24


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x_ND: torch.Tensor,
        weight_VD: torch.Tensor,
        target_N: torch.Tensor,
        ignore_index: int,
        chunk: int,
        wants_grad: bool,  # noqa: FBT001 - autograd.Function takes positional arguments only
    ) -> torch.Tensor:
        weight_cast_VD = weight_VD.to(x_ND.dtype)
        loss = torch.zeros((), dtype=torch.float32, device=x_ND.device)
        grad_x_ND = torch.empty_like(x_ND) if wants_grad else None
        grad_weight_VD = torch.zeros_like(weight_VD) if wants_grad else None
        for start in range(0, len(x_ND), chunk):
            x_CD = x_ND[start : start + chunk]
            target_C = target_N[start : start + chunk]
            logits_CV = F.linear(x_CD, weight_cast_VD).float()
            log_p_CV = F.log_softmax(logits_CV, dim=-1)
            loss += F.nll_loss(log_p_CV, target_C, ignore_index=ignore_index, reduction="sum")
            if grad_x_ND is None or grad_weight_VD is None:
                continue
            # d loss / d logits = softmax - onehot, and nothing at ignored targets.
            keep_C = target_C != ignore_index
            grad_CV = log_p_CV.exp_()
            grad_CV[torch.arange(len(target_C), device=x_ND.device), target_C * keep_C] -= 1.0
            grad_CV *= keep_C[:, None]
            grad_cast_CV = grad_CV.to(x_ND.dtype)
            grad_x_ND[start : start + chunk] = grad_cast_CV @ weight_cast_VD
            grad_weight_VD += grad_cast_CV.t() @ x_CD
        if wants_grad:
            ctx.save_for_backward(grad_x_ND, grad_weight_VD)
        return loss

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, None, None, None, None]:
        grad_x_ND, grad_weight_VD = ctx.saved_tensors
        # In fp32: 1 / tokens rounded to bf16 first would rescale the whole gradient by up to 0.4 %.
        grad_x = (grad_x_ND.float() * grad).to(grad_x_ND.dtype)
        return grad_x, grad_weight_VD * grad, None, None, None, None


def _chunked(
    x_ND: torch.Tensor,
    weight_VD: torch.Tensor,
    target_N: torch.Tensor,
    *,
    ignore_index: int = -100,
    chunk_size: int | None = None,
) -> torch.Tensor:
    chunk = chunk_size or max(1, _CHUNK_ELEMENTS // len(weight_VD))
    # Inside forward() grad mode is off, so whether gradients are wanted is asked here.
    wants_grad = torch.is_grad_enabled() and (x_ND.requires_grad or weight_VD.requires_grad)
    loss: torch.Tensor = _LinearCrossEntropy.apply(  # type: ignore[no-untyped-call]
        x_ND, weight_VD, target_N, ignore_index, chunk, wants_grad
    )
    return loss


def _reference(
    x_ND: torch.Tensor,
    weight_VD: torch.Tensor,
    target_N: torch.Tensor,
    *,
    ignore_index: int = -100,
    chunk_size: int | None = None,  # noqa: ARG001 - one signature for all implementations
) -> torch.Tensor:
    logits_NV = F.linear(x_ND, weight_VD.to(x_ND.dtype))
    if logits_NV.dtype != torch.float64:
        logits_NV = logits_NV.float()
    return F.cross_entropy(logits_NV, target_N, ignore_index=ignore_index, reduction="sum")


def _refuse_chunked(x_ND: torch.Tensor, *_args: Any, **_kwargs: Any) -> str | None:
    return "fp64 is for checking" if x_ND.dtype == torch.float64 else None


linear_cross_entropy = Operation(
    "linear_cross_entropy",
    Implementation("chunked", _chunked, "gradient in the forward pass", _refuse_chunked),
    Implementation("reference", _reference, "all logits at once", always),
)
"""``linear_cross_entropy(x_ND, weight_VD, target_N) -> loss``: the fp32 sum over tokens.

Args:
    x_ND: Hidden states in the compute dtype.
    weight_VD: Output matrix, usually the fp32 master; cast to the dtype of ``x_ND``.
    target_N: The next token of each position, int64.
    ignore_index: Targets that do not count.
    chunk_size: Tokens whose logits exist at once; None keeps a chunk below 64 MiB.
    implementation: ``chunked`` or ``reference``; None picks.
"""
