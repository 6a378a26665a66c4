"""What CUDA does otherwise than a CPU, for traces that run on one.

Operations that CUDA has one kernel for and a CPU takes step by step; kernels that are for CPUs
alone; and what is on the host, whose memory is not the device's.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from unittest import mock

import torch
import torch.nn.functional as F
from ava_kernels import grouped_swiglu
from ava_kernels.attention import causal_attention
from torch.optim import adagrad, sgd
from torch.utils._python_dispatch import _disable_current_modes

from workbench.training.engines import host
from workbench.training.optim import adafactor, adamw_8bit, lamb, muon
from workbench.training.optim.per_tensor import count_step

if TYPE_CHECKING:
    from collections.abc import Iterator


class _FusedRMSNorm(torch.autograd.Function):
    """Allocates and keeps what CUDA's `_fused_rms_norm` does: the input and one rstd per row."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        rstd = torch.empty((*x.shape[:-1], 1), dtype=torch.float32)
        ctx.save_for_backward(x, weight, rstd)
        return torch.empty_like(x)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        x, weight, rstd = ctx.saved_tensors  # the kernel reads them all until it is done
        wanted = ctx.needs_input_grad
        found = (
            torch.empty_like(grad) if wanted[0] else None,
            torch.empty_like(weight) if wanted[1] else None,
        )
        del x, rstd
        return found


def _rms_norm(
    x: torch.Tensor, shape: Any, weight: torch.Tensor, eps: float | None = None
) -> torch.Tensor:
    del shape, eps
    y: torch.Tensor = _FusedRMSNorm.apply(x, weight)  # type: ignore[no-untyped-call]
    return y


def _dropout(
    x: torch.Tensor,
    p: float = 0.5,
    training: bool = True,  # noqa: FBT001, FBT002 - torch's signature
    inplace: bool = False,  # noqa: FBT001, FBT002
) -> torch.Tensor:
    del inplace
    y: torch.Tensor = torch.native_dropout(x, p, train=True)[0] if training and p else x
    return y


def _counted(state: dict[str, torch.Tensor]) -> int:
    with _disable_current_modes():  # it counts on the host, whose memory is another one
        return count_step(state)


def _copied(tensor: torch.Tensor) -> torch.Tensor:
    with _disable_current_modes():  # the host's memory is another one; only integers have values
        if tensor.is_floating_point():
            return torch.empty_like(tensor, device="meta")
        return tensor.clone()


def _fetched(copy: torch.Tensor, _device: torch.device) -> torch.Tensor:
    return torch.empty(copy.shape, dtype=copy.dtype) if copy.is_meta else copy.clone()


def _all_at_once(*_args: Any, **_kwargs: Any) -> tuple[bool, bool]:
    return False, True  # not fused, but foreach: what torch.optim takes for CUDA tensors


@contextmanager
def cuda_kernels() -> Iterator[None]:
    """Operations that CUDA has one kernel for and a CPU takes step by step."""
    # What is for CPUs alone refuses by looking at the device, which is one here.
    sdpa = causal_attention.implementations[-1:]
    grouped = grouped_swiglu.implementations[-1:]

    patches: list[tuple[Any, str, Any]] = [
        (adagrad, "_default_to_fused_or_foreach", _all_at_once),
        (sgd, "_default_to_fused_or_foreach", _all_at_once),
        (F, "rms_norm", _rms_norm),
        (F, "dropout", _dropout),
        (host, "_copied", _copied),
        (host, "_fetched", _fetched),
        (causal_attention, "implementations", sdpa),
        (grouped_swiglu, "implementations", grouped),
        *((module, "count_step", _counted) for module in (adafactor, adamw_8bit, lamb, muon)),
    ]
    with ExitStack() as stack:
        for place, name, instead in patches:
            stack.enter_context(mock.patch.object(place, name, instead))
        yield
