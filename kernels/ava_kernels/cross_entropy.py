"""Output projection and cross-entropy in one, without ever holding all logits.

The logits of N tokens are N x V numbers, often the largest tensor of a training step. Here they
exist for a chunk of tokens at a time, and the gradient is computed while they are at hand, so the
backward pass only scales it. Products run in the dtype of the hidden states; softmax, loss and the
sum over chunks are fp32. (torch 2.13 has such a loss too, `F.linear_cross_entropy`; it adds its
chunks up in bf16 when the hidden states are bf16, and reports a loss that is off by percents.)

Shapes: N tokens, D width, V vocabulary, C tokens of one chunk, P parts.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

from ava_kernels.dispatch import Implementation, Operation, always
from ava_kernels.linear import by_onednn, refuse_onednn

# Logits of one chunk: 16 Mi numbers, 64 MiB in fp32. With V = 65,536 that is 256 tokens, the
# measured best of memory against time; a byte vocabulary is one chunk up to 65,536 tokens.
_CHUNK_ELEMENTS = 2**24

Measure = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""From fp32 logits (C, V) and targets (C,) to the sum to minimise and parts (P,) to report."""


class _Plain(NamedTuple):
    """How the cross-entropy itself is counted."""

    ignore_index: int
    smoothing: float

    def __call__(
        self, logits_CV: torch.Tensor, target_C: torch.Tensor, *, wants_grad: bool
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The loss sum of a chunk, and its gradient by the logits."""
        log_p_CV = F.log_softmax(logits_CV, dim=-1)
        loss = F.nll_loss(log_p_CV, target_C, ignore_index=self.ignore_index, reduction="sum")
        keep_C = target_C != self.ignore_index
        share = self.smoothing
        if share:
            # The target is onehot (1 - share) + share / V (arXiv 1512.00567, section 7).
            loss = (1 - share) * loss - share * (log_p_CV.mean(dim=-1) * keep_C).sum()
        if not wants_grad:
            return loss, None
        # d loss / d logits = softmax - target, and nothing at ignored targets.
        grad_CV = log_p_CV.exp_()
        if share:
            grad_CV -= share / logits_CV.shape[1]
        places = torch.arange(len(target_C), device=logits_CV.device)
        grad_CV[places, target_C * keep_C] -= 1.0 - share
        grad_CV *= keep_C[:, None]
        return loss, grad_CV


class _Wants(NamedTuple):
    """Whose gradients are wanted: a frozen matrix costs no product and no memory of its size."""

    x: bool
    weight: bool
    bias: bool


class _LinearLoss(torch.autograd.Function):
    """Returns the sum to minimise, and the parts of a `Measure`, which have no gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        x_ND: torch.Tensor,
        weight_VD: torch.Tensor,
        bias_V: torch.Tensor | None,
        target_N: torch.Tensor,
        loss_of: _Plain | Measure,
        chunk: int,
        wants: _Wants,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        wants_grad = any(wants)
        weight_cast_VD = weight_VD.to(x_ND.dtype)
        total = torch.zeros((), dtype=torch.float32, device=x_ND.device)
        parts_P = torch.zeros(1, dtype=torch.float32, device=x_ND.device)
        grad_x_ND = torch.empty_like(x_ND) if wants.x else None
        grad_weight_VD = torch.zeros_like(weight_VD) if wants.weight else None
        grad_bias_V = torch.zeros_like(bias_V) if wants.bias and bias_V is not None else None
        onednn = refuse_onednn(x_ND[:chunk], weight_cast_VD) is None
        products = by_onednn if onednn else contextlib.nullcontext
        for start in range(0, len(x_ND), chunk):
            x_CD = x_ND[start : start + chunk]
            target_C = target_N[start : start + chunk]
            with products():
                logits_CV = F.linear(x_CD, weight_cast_VD).float()
            if bias_V is not None:
                logits_CV += bias_V
            if isinstance(loss_of, _Plain):
                loss, grad_CV = loss_of(logits_CV, target_C, wants_grad=wants_grad)
            else:
                loss, found_P, grad_CV = _measure(loss_of, logits_CV, target_C, wants_grad)
                parts_P = parts_P + found_P
            total += loss
            if grad_CV is None:
                continue
            if grad_bias_V is not None:
                grad_bias_V += grad_CV.sum(dim=0)
            grad_cast_CV = grad_CV.to(x_ND.dtype)
            if grad_x_ND is not None:
                with products():
                    grad_x_ND[start : start + chunk] = grad_cast_CV @ weight_cast_VD
            if grad_weight_VD is not None:
                grad_weight_VD += grad_cast_CV.t() @ x_CD
        if wants_grad:
            ctx.save_for_backward(grad_x_ND, grad_weight_VD, grad_bias_V)
        ctx.mark_non_differentiable(parts_P)
        return total, parts_P

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad: torch.Tensor, _grad_parts: torch.Tensor
    ) -> tuple[torch.Tensor | None, ...]:
        grad_x_ND, grad_weight_VD, grad_bias_V = ctx.saved_tensors
        grad_x = None
        if grad_x_ND is not None:
            # In fp32: 1 / tokens rounded to bf16 first would rescale all of it by up to 0.4 %.
            grad_x = (grad_x_ND.float() * grad).to(grad_x_ND.dtype)
        grad_bias = None if grad_bias_V is None else grad_bias_V * grad
        grad_weight = None if grad_weight_VD is None else grad_weight_VD * grad
        return grad_x, grad_weight, grad_bias, None, None, None, None


def _measure(
    measure: Measure,
    logits_CV: torch.Tensor,
    target_C: torch.Tensor,
    wants_grad: bool,  # noqa: FBT001
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """A loss that autograd differentiates by the logits, chunk by chunk."""
    # What it keeps is needed at once: hooks that send activations away are not for it.
    here = torch.autograd.graph.saved_tensors_hooks(_itself, _itself)
    with torch.set_grad_enabled(wants_grad), here:
        leaf_CV = logits_CV.requires_grad_(wants_grad)
        loss, parts_P = measure(leaf_CV, target_C)
        grad_CV = torch.autograd.grad(loss, leaf_CV)[0] if wants_grad else None
    return loss.detach(), parts_P.detach(), grad_CV


def _itself(tensor: torch.Tensor) -> torch.Tensor:
    return tensor


def _wants(*tensors: torch.Tensor | None) -> _Wants:
    # Inside forward() grad mode is off, so whose gradients are wanted is asked before.
    learns = torch.is_grad_enabled()
    return _Wants(*(learns and each is not None and each.requires_grad for each in tensors))


def _chunked(
    x_ND: torch.Tensor,
    weight_VD: torch.Tensor,
    target_N: torch.Tensor,
    bias_V: torch.Tensor | None = None,
    *,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    chunk_size: int | None = None,
) -> torch.Tensor:
    chunk = chunk_size or max(1, _CHUNK_ELEMENTS // len(weight_VD))
    loss_of = _Plain(ignore_index, label_smoothing)
    total: torch.Tensor = _LinearLoss.apply(  # type: ignore[no-untyped-call]
        x_ND, weight_VD, bias_V, target_N, loss_of, chunk, _wants(x_ND, weight_VD, bias_V)
    )[0]
    return total


def _reference(
    x_ND: torch.Tensor,
    weight_VD: torch.Tensor,
    target_N: torch.Tensor,
    bias_V: torch.Tensor | None = None,
    *,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    chunk_size: int | None = None,  # noqa: ARG001 - one signature for all implementations
) -> torch.Tensor:
    logits_NV = F.linear(x_ND, weight_VD.to(x_ND.dtype))
    if logits_NV.dtype != torch.float64:
        logits_NV = logits_NV.float()
    if bias_V is not None:
        logits_NV = logits_NV + bias_V
    return F.cross_entropy(
        logits_NV,
        target_N,
        ignore_index=ignore_index,
        label_smoothing=label_smoothing,
        reduction="sum",
    )


def _refuse_chunked(x_ND: torch.Tensor, *_args: Any, **_kwargs: Any) -> str | None:
    return "fp64 is for checking" if x_ND.dtype == torch.float64 else None


linear_cross_entropy = Operation(
    "linear_cross_entropy",
    Implementation("chunked", _chunked, "gradient in the forward pass", _refuse_chunked),
    Implementation("reference", _reference, "all logits at once", always),
)
"""``linear_cross_entropy(x_ND, weight_VD, target_N, bias_V=None) -> loss``: the fp32 sum.

Args:
    x_ND: Hidden states in the compute dtype.
    weight_VD: Output matrix, usually the fp32 master; cast to the dtype of ``x_ND``.
    target_N: The next token of each position, int64.
    bias_V: Added to the logits in fp32; None adds nothing.
    ignore_index: Targets that do not count.
    label_smoothing: Share of each target that is spread evenly over the vocabulary.
    chunk_size: Tokens whose logits exist at once; None keeps a chunk below 64 MiB.
    implementation: ``chunked`` or ``reference``; None picks.
"""


def linear_loss(
    x_ND: torch.Tensor,
    weight_VD: torch.Tensor,
    target_N: torch.Tensor,
    bias_V: torch.Tensor | None,
    measure: Measure,
    *,
    chunk_size: int | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Any loss that is a sum over tokens of a function of their logits, in the same way.

    Args:
        x_ND: Hidden states in the compute dtype.
        weight_VD: Output matrix; cast to the dtype of ``x_ND``.
        target_N: The next token of each position, int64.
        bias_V: Added to the logits in fp32; None adds nothing.
        measure: The loss of a chunk. It is called once per chunk and differentiated at once.
        chunk_size: Tokens whose logits exist at once; None keeps a chunk below 64 MiB.

    Returns:
        The fp32 sum to minimise, and the summed parts (P,), which have no gradient.
    """
    chunk = chunk_size or max(1, _CHUNK_ELEMENTS // len(weight_VD))
    total: torch.Tensor
    parts_P: torch.Tensor
    total, parts_P = _LinearLoss.apply(  # type: ignore[no-untyped-call]
        x_ND, weight_VD, bias_V, target_N, measure, chunk, _wants(x_ND, weight_VD, bias_V)
    )
    return total, parts_P
