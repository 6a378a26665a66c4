"""The SwiGLU networks of a mixture's experts, rows sorted by expert: ``down(silu(gate x) * up x)``.

Three grouped products and what is between them. A GPU wants each product as one kernel over all
experts. A CPU wants one expert after another: its rows stay in the cache from the first product to
the last, weights are cast one expert at a time, and gradients are written straight into place.

Shapes: S rows sorted by expert, R = ends_E[-1] rows that belong to any expert, E experts, D width,
F inner width.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

from ava_kernels.dispatch import Implementation, Operation, always
from ava_kernels.grouped import grouped_matmul

_FEWEST_ROWS = 16


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
        pieces = _pieces(ends_E.tolist(), x_RD.dtype)
        y_RD = torch.empty_like(x_RD)
        gate_PF, up_PF = (
            x_RD.new_empty(sum(each.padded for each in pieces), gate_EFD.shape[1]) for _ in range(2)
        )
        for expert, piece in enumerate(pieces):
            if not piece.rows:
                continue
            x_ND, gate_NF, up_NF = piece.of(x_RD), piece.inside(gate_PF), piece.inside(up_PF)
            torch.mm(x_ND, gate_EFD[expert].to(x_RD.dtype).t(), out=gate_NF)
            torch.mm(x_ND, up_EFD[expert].to(x_RD.dtype).t(), out=up_NF)
            inner_NF = F.silu(gate_NF).mul_(up_NF)
            piece.store(torch.mm(inner_NF, down_EDF[expert].to(x_RD.dtype).t()), y_RD)
        _, *learns, _ = ctx.needs_input_grad
        # The rows are for the gradients of the first two matrices alone, which may be frozen.
        kept_RD = x_RD if any(learns[:2]) else None
        ctx.save_for_backward(kept_RD, gate_PF, up_PF, gate_EFD, up_EFD, down_EDF)
        ctx.pieces = pieces
        return y_RD

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_RD: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x_RD, gate_PF, up_PF, gate_EFD, up_EFD, down_EDF = ctx.saved_tensors
        dtype = grad_RD.dtype
        grad_x_RD = grad_RD.new_empty(grad_RD.shape)
        grad_gate_EFD, grad_up_EFD, grad_down_EDF = grads = [
            torch.empty_like(weight) if learns else None
            for weight, learns in zip(
                (gate_EFD, up_EFD, down_EDF), ctx.needs_input_grad[1:4], strict=True
            )
        ]
        for expert, piece in enumerate(ctx.pieces):
            if not piece.rows:
                for gradient in grads:
                    if gradient is not None:
                        gradient[expert].zero_()
                continue
            x_ND, grad_ND = None if x_RD is None else piece.of(x_RD), piece.of(grad_RD)
            gate_NF, up_NF = piece.inside(gate_PF), piece.inside(up_PF)
            active_NF = F.silu(gate_NF)
            if grad_down_EDF is not None:
                _product(grad_ND.t(), active_NF * up_NF, into=grad_down_EDF[expert])
            inner_NF = torch.mm(grad_ND, down_EDF[expert].to(dtype))
            grad_up_NF = active_NF.mul_(inner_NF)
            grad_gate_NF = torch.ops.aten.silu_backward(inner_NF.mul_(up_NF), gate_NF)
            if grad_gate_EFD is not None and x_ND is not None:
                _product(grad_gate_NF.t(), x_ND, into=grad_gate_EFD[expert])
            if grad_up_EFD is not None and x_ND is not None:
                _product(grad_up_NF.t(), x_ND, into=grad_up_EFD[expert])
            grad_x_ND = torch.mm(grad_gate_NF, gate_EFD[expert].to(dtype))
            piece.store(grad_x_ND.addmm_(grad_up_NF, up_EFD[expert].to(dtype)), grad_x_RD)
        return grad_x_RD, grad_gate_EFD, grad_up_EFD, grad_down_EDF, None


class _Piece(NamedTuple):
    """The rows of one expert: among all rows, and among rows that are padded for each expert."""

    start: int
    rows: int
    padded_start: int
    padded: int

    def of(self, x_RD: torch.Tensor) -> torch.Tensor:
        """Its rows, and zeros behind them."""
        x_ND = x_RD[self.start : self.start + self.rows]
        return x_ND if self.padded == self.rows else F.pad(x_ND, (0, 0, 0, self.padded - self.rows))

    def inside(self, x_PF: torch.Tensor) -> torch.Tensor:
        """Its place among the padded rows."""
        return x_PF[self.padded_start : self.padded_start + self.padded]

    def store(self, y_ND: torch.Tensor, y_RD: torch.Tensor) -> None:
        """Put its rows back among all."""
        y_RD[self.start : self.start + self.rows] = y_ND[: self.rows]


def _pieces(ends: list[int], dtype: torch.dtype) -> list[_Piece]:
    """The rows of each expert.

    For the short formats oneDNN makes machine code for every new number of rows, which takes longer
    than the product (0.65 ms against 0.17 ms for 256 x 256 x 224 in bf16, torch 2.13, AVX-512), and
    routing makes new numbers all the time. Rounded up to eighths of a power of two, at least to 16,
    they come back.
    """
    pieces, padded_start = [], 0
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        rows = padded = end - start
        if dtype != torch.float32 and rows:
            step = max(_FEWEST_ROWS, 1 << max(0, rows.bit_length() - 4))
            padded = -(-rows // step) * step
        pieces.append(_Piece(start, rows, padded_start, padded))
        padded_start += padded
    return pieces


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
