"""One matrix product per group of rows: the experts of a mixture, rows sorted by expert.

Shapes: S rows sorted by expert, R = ends_E[-1] rows that belong to any expert, E experts,
D width in, F width out.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

from ava_kernels.dispatch import Implementation, Operation, always

# grouped_mm wants every row to begin at a multiple of this many bytes.
_ALIGNMENT = 16


class _Product(torch.autograd.Function):
    """grouped_mm, which keeps the weight itself.

    PyTorch's own keeps the transpose: a view, which holds the memory of a weight that an engine
    gives up between the passes (ZeRO stage 3).
    """

    @staticmethod
    def forward(
        ctx: Any, x_RD: torch.Tensor, weight_EFD: torch.Tensor, ends_E: torch.Tensor
    ) -> torch.Tensor:
        to_x, to_weight, _ = ctx.needs_input_grad
        ctx.save_for_backward(x_RD if to_weight else None, weight_EFD if to_x else None, ends_E)
        return F.grouped_mm(x_RD, weight_EFD.transpose(1, 2), offs=ends_E)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_RF: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x_RD, weight_EFD, ends_E = ctx.saved_tensors
        grad_RF = grad_RF.contiguous()  # it refuses expanded ones
        grad_x_RD = grad_weight_EFD = None
        if weight_EFD is not None:
            grad_x_RD = F.grouped_mm(grad_RF, weight_EFD, offs=ends_E)
        if x_RD is not None:
            grad_weight_EFD = F.grouped_mm(grad_RF.t(), x_RD, offs=ends_E)
        return grad_x_RD, grad_weight_EFD, None


def _grouped(
    x_SD: torch.Tensor, weight_EFD: torch.Tensor, ends_E: torch.Tensor, *, rows: int | None = None
) -> torch.Tensor:
    # Rows past the last group come back from grouped_mm as uninitialised memory, in the output and
    # in the gradient (pytorch #154557), so they never go in.
    x_RD = x_SD[: int(ends_E[-1]) if rows is None else rows]
    y_RF: torch.Tensor = _Product.apply(x_RD, weight_EFD, ends_E)  # type: ignore[no-untyped-call]
    return y_RF


def _refuse_grouped(
    x_SD: torch.Tensor, weight_EFD: torch.Tensor, ends_E: torch.Tensor, *, rows: int | None = None
) -> str | None:
    if not hasattr(F, "grouped_mm"):
        return "this torch has no grouped_mm"
    if x_SD.dtype not in {torch.float32, torch.bfloat16, torch.float16}:
        return f"grouped_mm has no {str(x_SD.dtype).removeprefix('torch.')}"
    if any(width * x_SD.element_size() % _ALIGNMENT for width in weight_EFD.shape[1:]):
        return f"grouped_mm wants widths in multiples of {_ALIGNMENT // x_SD.element_size()}"
    if (int(ends_E[-1]) if rows is None else rows) == 0:
        return "no row belongs to any expert"
    return None


def _loop(
    x_SD: torch.Tensor,
    weight_EFD: torch.Tensor,
    ends_E: torch.Tensor,
    *,
    rows: int | None = None,  # noqa: ARG001 - one signature for all implementations
) -> torch.Tensor:
    ends = ends_E.tolist()
    starts = [0, *ends[:-1]]
    return torch.cat(
        [
            F.linear(x_SD[start:end], weight_FD)
            for start, end, weight_FD in zip(starts, ends, weight_EFD, strict=True)
        ]
    )


grouped_matmul = Operation(
    "grouped_matmul",
    Implementation("grouped", _grouped, "torch's grouped_mm", _refuse_grouped),
    Implementation("loop", _loop, "one product per expert", always),
)
"""``grouped_matmul(x_SD, weight_EFD, ends_E) -> y_RF``: rows ``ends_E[e-1]:ends_E[e]`` times the
transpose of ``weight_EFD[e]``.

Args:
    x_SD: Rows sorted by expert; rows past ``ends_E[-1]`` belong to none and are left out.
    weight_EFD: One matrix per expert, in the dtype of the rows.
    ends_E: Where each expert's rows end, int32, never decreasing.
    rows: ``ends_E[-1]``, where it is known: a GPU then need not be waited for.
    implementation: ``grouped`` or ``loop``; None picks.
"""
