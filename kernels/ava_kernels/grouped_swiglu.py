"""The SwiGLU networks of a mixture's experts, rows sorted by expert: ``down(silu(gate x) * up x)``.

Three grouped products and what is between them. A GPU wants each product as one kernel over all
experts. A CPU wants one expert after another: its rows stay in the cache from the first product to
the last, weights are cast one expert at a time, and gradients are written straight into place.

Shapes: S rows sorted by expert, R = ends_E[-1] rows that belong to any expert, E experts, D width,
F inner width.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

from ava_kernels.dispatch import Implementation, Operation, always
from ava_kernels.grouped import grouped_matmul


class _ByExpert(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x_RD: torch.Tensor,
        gate_EFD: torch.Tensor,
        up_EFD: torch.Tensor,
        down_EDF: torch.Tensor,
        ends_E: torch.Tensor,
    ) -> torch.Tensor:
        ends = ends_E.tolist()
        y_RD = torch.empty_like(x_RD)
        gate_RF, up_RF = (x_RD.new_empty(len(x_RD), gate_EFD.shape[1]) for _ in range(2))
        for expert, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
            if start == end:
                continue
            rows = slice(start, end)
            x_ND, gate_NF, up_NF = x_RD[rows], gate_RF[rows], up_RF[rows]
            torch.mm(x_ND, gate_EFD[expert].to(x_RD.dtype).t(), out=gate_NF)
            torch.mm(x_ND, up_EFD[expert].to(x_RD.dtype).t(), out=up_NF)
            inner_NF = F.silu(gate_NF).mul_(up_NF)
            torch.mm(inner_NF, down_EDF[expert].to(x_RD.dtype).t(), out=y_RD[rows])
        ctx.save_for_backward(x_RD, gate_RF, up_RF, gate_EFD, up_EFD, down_EDF)
        ctx.ends = ends
        return y_RD

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_RD: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x_RD, gate_RF, up_RF, gate_EFD, up_EFD, down_EDF = ctx.saved_tensors
        dtype, ends = x_RD.dtype, ctx.ends
        grad_x_RD = torch.empty_like(x_RD)
        grad_gate_EFD, grad_up_EFD, grad_down_EDF = (
            torch.empty_like(weight) for weight in (gate_EFD, up_EFD, down_EDF)
        )
        for expert, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
            if start == end:
                for gradient in (grad_gate_EFD, grad_up_EFD, grad_down_EDF):
                    gradient[expert].zero_()
                continue
            rows = slice(start, end)
            x_ND, gate_NF, up_NF, grad_ND = x_RD[rows], gate_RF[rows], up_RF[rows], grad_RD[rows]
            active_NF = F.silu(gate_NF)
            _product(grad_ND.t(), active_NF * up_NF, into=grad_down_EDF[expert])
            inner_NF = torch.mm(grad_ND, down_EDF[expert].to(dtype))
            grad_up_NF = active_NF.mul_(inner_NF)
            grad_gate_NF = torch.ops.aten.silu_backward(inner_NF.mul_(up_NF), gate_NF)
            _product(grad_gate_NF.t(), x_ND, into=grad_gate_EFD[expert])
            _product(grad_up_NF.t(), x_ND, into=grad_up_EFD[expert])
            grad_x_ND = grad_x_RD[rows]
            torch.mm(grad_gate_NF, gate_EFD[expert].to(dtype), out=grad_x_ND)
            grad_x_ND.addmm_(grad_up_NF, up_EFD[expert].to(dtype))
        return grad_x_RD, grad_gate_EFD, grad_up_EFD, grad_down_EDF, None


def _product(left: torch.Tensor, right: torch.Tensor, *, into: torch.Tensor) -> None:
    """A product into a place that may have another dtype."""
    if into.dtype == left.dtype:
        torch.mm(left, right, out=into)
    else:
        into.copy_(torch.mm(left, right))


def _by_expert(
    x_SD: torch.Tensor,
    gate_EFD: torch.Tensor,
    up_EFD: torch.Tensor,
    down_EDF: torch.Tensor,
    ends_E: torch.Tensor,
    *,
    rows: int | None = None,
) -> torch.Tensor:
    x_RD = x_SD[: int(ends_E[-1]) if rows is None else rows]
    y_RD: torch.Tensor = _ByExpert.apply(x_RD, gate_EFD, up_EFD, down_EDF, ends_E)  # type: ignore[no-untyped-call]
    return y_RD


def _refuse_by_expert(x_SD: torch.Tensor, *_args: Any, **_kwargs: Any) -> str | None:
    if x_SD.device.type != "cpu":
        return "only a CPU wants one expert after another"
    if torch.compiler.is_compiling():
        return "compiled code wants operators, not a loop"
    return None


def _grouped(
    x_SD: torch.Tensor,
    gate_EFD: torch.Tensor,
    up_EFD: torch.Tensor,
    down_EDF: torch.Tensor,
    ends_E: torch.Tensor,
    *,
    rows: int | None = None,
) -> torch.Tensor:
    def product(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return grouped_matmul(x, weight.to(x.dtype), ends_E, rows=rows)

    inner_RF = F.silu(product(x_SD, gate_EFD)) * product(x_SD, up_EFD)
    return product(inner_RF, down_EDF)


grouped_swiglu = Operation(
    "grouped_swiglu",
    Implementation("by_expert", _by_expert, "one expert after another", _refuse_by_expert),
    Implementation("grouped", _grouped, "three grouped products", always),
)
"""``grouped_swiglu(x_SD, gate_EFD, up_EFD, down_EDF, ends_E) -> y_RD``: each row through its
expert's network.

Args:
    x_SD: Rows sorted by expert; rows past ``ends_E[-1]`` belong to none and are left out.
    gate_EFD: One matrix per expert, usually the fp32 master; cast to the dtype of the rows.
    up_EFD: The same.
    down_EDF: The same.
    ends_E: Where each expert's rows end, int32, never decreasing.
    rows: ``ends_E[-1]``, where it is known: a GPU then need not be waited for.
    implementation: ``by_expert`` or ``grouped``; None picks.
"""
