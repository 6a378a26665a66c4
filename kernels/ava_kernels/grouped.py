"""One matrix product per group of rows: the experts of a mixture, rows sorted by expert.

Shapes: S rows sorted by expert, R = ends_E[-1] rows that belong to any expert, E experts,
D width in, F width out.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from ava_kernels.dispatch import Implementation, Operation, always

# grouped_mm wants every row to begin at a multiple of this many bytes.
_ALIGNMENT = 16


class _DenseGradient(torch.autograd.Function):
    """Nothing forwards; backwards, a gradient that grouped_mm takes: it refuses expanded ones."""

    @staticmethod
    def forward(_ctx: Any, y_RF: torch.Tensor) -> torch.Tensor:
        return y_RF.view_as(y_RF)

    @staticmethod
    def backward(_ctx: Any, grad_RF: torch.Tensor) -> torch.Tensor:
        return grad_RF.contiguous()


def _grouped(
    x_SD: torch.Tensor, weight_EFD: torch.Tensor, ends_E: torch.Tensor, *, rows: int | None = None
) -> torch.Tensor:
    # Rows past the last group come back from grouped_mm as uninitialised memory, in the output and
    # in the gradient (pytorch #154557), so they never go in.
    x_RD = x_SD[: int(ends_E[-1]) if rows is None else rows]
    y_RF: torch.Tensor = _DenseGradient.apply(  # type: ignore[no-untyped-call]
        F.grouped_mm(x_RD, weight_EFD.transpose(1, 2), offs=ends_E)
    )
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
