"""The linear layer, and on an AMD CPU its fp32 products by oneDNN instead of MKL.

PyTorch multiplies fp32 matrices with MKL, which treats a CPU that is not Intel's as one without
AVX-512. oneDNN is inside PyTorch as well and takes no notice of the maker. GFLOP/s on one core of a
Zen 4 (torch 2.13, medians, a busy machine), MKL and oneDNN:

    rows x in x out        forward      by the input
    2048 x 256 x  256      84    94      91   102
    2048 x 256 x  683      51    97      86   102
    2048 x 683 x  256      86   101      47    93
    2048 x 256 x 1024      72    88      79   101
    2048 x 768 x  768      91   101      74    94
      64 x 256 x  224      72    68      76    75

Gradients of weights stay with MKL, which is about as fast there and takes no memory besides.

PyTorch asks oneDNN only where fp32 matrices *may* be rounded to bf16 on the way, so that is said
around the products. oneDNN rounds with AMX alone; these CPUs have none, its numbers are whole fp32
products, and before the first one that is tried out. Attention stays outside: PyTorch's own would
call oneDNN for each of its small tiles, at five times the cost.

Shapes: D width in, F width out, any leading dimensions; N rows of all of them.
"""

from __future__ import annotations

import contextlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

from ava_kernels.dispatch import Implementation, Operation, always

if TYPE_CHECKING:
    from collections.abc import Iterator

# Multiplications below which oneDNN gains nothing.
_FEWEST = 2**24


def refuse_onednn(x: torch.Tensor, weight_FD: torch.Tensor) -> str | None:
    """Why the products of these two are left to PyTorch; None when oneDNN shall do them."""
    if x.dtype != torch.float32 or weight_FD.dtype != torch.float32:
        return "only fp32 products have a choice"
    if x.device.type != "cpu":
        return "only a CPU has this choice"
    if x.numel() * len(weight_FD) < _FEWEST:
        return "a small product"
    if type(x) is not torch.Tensor or torch.compiler.is_compiling():
        return "only plain tensors, and none that is being compiled"
    if is_in_torch_dispatch_mode():
        return "something watches the operations: it shall see torch's own"
    return _refuse_machine()


@lru_cache(maxsize=1)
def _refuse_machine() -> str | None:
    has = torch.cpu.get_capabilities()
    libraries = torch.backends.mkl, torch.backends.mkldnn
    if not all(each.is_available() for each in libraries):
        return "this torch has not both MKL and oneDNN"
    if not str(has.get("cpu_name", "")).startswith("AMD") or not has.get("avx512_bw"):
        return "MKL is at its best on this CPU, or oneDNN is not"
    if has.get("amx_tile") or has.get("amx_bf16"):
        return "oneDNN would round to bf16 on this CPU"
    # 13 significant bits: bf16 keeps 8 of them, TF32 11.
    fine = torch.full((256, 256), 1 + 2**-12, device="cpu")
    with by_onednn():
        exact = torch.equal(torch.mm(fine, torch.eye(256, device="cpu")), fine)
    return None if exact else "oneDNN rounds on this CPU"


@contextlib.contextmanager
def by_onednn() -> Iterator[None]:
    """Inside, oneDNN multiplies fp32 matrices; see `refuse_onednn`."""
    settings = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = settings.fp32_precision
    settings.fp32_precision = "bf16"
    try:
        yield
    finally:
        settings.fp32_precision = before


class _ByOneDnn(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight_FD: torch.Tensor, bias_F: torch.Tensor | None
    ) -> torch.Tensor:
        _, learns, _ = ctx.needs_input_grad
        # The input is for the gradient of the matrix alone, which may be frozen.
        ctx.save_for_backward(x if learns else None, weight_FD)
        with by_onednn():
            return F.linear(x, weight_FD, bias_F)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight_FD = ctx.saved_tensors
        wants_x, _, wants_bias = ctx.needs_input_grad
        grad_NF = grad.reshape(-1, grad.shape[-1])
        grad_bias_F = grad_NF.sum(dim=0) if wants_bias else None
        with by_onednn():
            grad_x = (grad_NF @ weight_FD).view(*grad.shape[:-1], -1) if wants_x else None
        # oneDNN would copy a turned matrix first, into memory that no estimate knows of.
        grad_weight_FD = None if x is None else grad_NF.t() @ x.reshape(-1, x.shape[-1])
        return grad_x, grad_weight_FD, grad_bias_F


def _onednn(
    x: torch.Tensor, weight_FD: torch.Tensor, bias_F: torch.Tensor | None = None
) -> torch.Tensor:
    y: torch.Tensor = _ByOneDnn.apply(x, weight_FD, bias_F)  # type: ignore[no-untyped-call]
    return y


def _refuse(
    x: torch.Tensor,
    weight_FD: torch.Tensor,
    bias_F: torch.Tensor | None = None,  # noqa: ARG001 - the signature is the operation's
) -> str | None:
    return refuse_onednn(x, weight_FD)


def _torch(
    x: torch.Tensor, weight_FD: torch.Tensor, bias_F: torch.Tensor | None = None
) -> torch.Tensor:
    return F.linear(x, weight_FD, bias_F)


linear = Operation(
    "linear",
    Implementation("onednn", _onednn, "oneDNN's fp32 products", _refuse),
    Implementation("torch", _torch, "torch's linear", always),
)
"""``linear(x, weight_FD, bias_F=None) -> y``: ``x W^T + b`` for ``(..., D)``.

Args:
    x: The input.
    weight_FD: The matrix, in the dtype of the input.
    bias_F: Added to every row; None adds nothing.
    implementation: ``onednn`` or ``torch``; None picks.
"""
