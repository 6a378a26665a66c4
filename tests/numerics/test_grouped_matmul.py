"""grouped_mm is the loop, bit for bit, and its uninitialised tail never comes out."""

from __future__ import annotations

import math

import pytest
import torch
from ava_kernels import grouped_matmul

COUNTS = (5, 0, 9, 2)


def problem(
    dtype: torch.dtype, *, width: int = 16, tail: int = 0
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    x_SD = torch.randn(sum(COUNTS) + tail, width, generator=generator).to(dtype).requires_grad_()
    weight_EFD = torch.randn(len(COUNTS), 24, width, generator=generator).to(dtype).requires_grad_()
    return x_SD, weight_EFD, torch.tensor(COUNTS).cumsum(0).to(torch.int32)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_grouped_equals_loop(dtype: torch.dtype) -> None:
    results = []
    for implementation in ("grouped", "loop"):
        x_SD, weight_EFD, ends_E = problem(dtype)
        y_RF = grouped_matmul(x_SD, weight_EFD, ends_E, implementation=implementation)
        y_RF.square().sum().backward()  # type: ignore[no-untyped-call]
        results.append((y_RF, x_SD.grad, weight_EFD.grad))
    for grouped, loop in zip(*results, strict=True):
        torch.testing.assert_close(grouped, loop, rtol=0, atol=0)
    assert not results[0][2][1].any(), "an expert without rows has a gradient of exactly zero"


def test_rows_of_no_expert_are_left_out() -> None:
    x_SD, weight_EFD, ends_E = problem(torch.float32, tail=3)
    with torch.no_grad():
        x_SD[-3:] = math.nan
    y_RF = grouped_matmul(x_SD, weight_EFD, ends_E)
    assert grouped_matmul.last is not None
    assert grouped_matmul.last.name == "grouped"
    assert len(y_RF) == sum(COUNTS)
    y_RF.sum().backward()  # type: ignore[no-untyped-call]
    assert x_SD.grad is not None
    assert weight_EFD.grad is not None
    assert x_SD.grad.isfinite().all()
    assert not x_SD.grad[-3:].any()
    assert weight_EFD.grad.isfinite().all()


def test_fallbacks_say_why() -> None:
    x_SD, weight_EFD, ends_E = problem(torch.float64)
    grouped_matmul(x_SD, weight_EFD, ends_E)
    assert str(grouped_matmul.last) == "loop: grouped_mm has no float64"
    grouped_matmul(*problem(torch.float32, width=15))
    assert str(grouped_matmul.last) == "loop: grouped_mm wants widths in multiples of 4"


def test_no_rows_at_all() -> None:
    x_SD, weight_EFD, ends_E = problem(torch.float32)
    y_RF = grouped_matmul(x_SD, weight_EFD, torch.zeros_like(ends_E))
    assert y_RF.shape == (0, 24)
    y_RF.sum().backward()  # type: ignore[no-untyped-call]
    assert weight_EFD.grad is not None
    assert not weight_EFD.grad.any()
