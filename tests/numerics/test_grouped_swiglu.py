"""Both ways through the experts are the definition in fp64, whatever the routing."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from ava_kernels import grouped_swiglu

WAYS = ("by_expert", "grouped")
COUNTS = (5, 0, 37, 1, 16)


def problem(
    dtype: torch.dtype, counts: tuple[int, ...] = COUNTS, *, tail: int = 0
) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Rows and fp32 matrices that want gradients, and where the experts' rows end."""
    generator = torch.Generator().manual_seed(1)
    rows, experts = sum(counts) + tail, len(counts)
    shapes = [(rows, 24), (experts, 40, 24), (experts, 40, 24), (experts, 24, 40)]
    tensors = [torch.randn(*shape, generator=generator) for shape in shapes]
    tensors[0] = tensors[0].to(dtype)
    ends_E = torch.tensor(counts).cumsum(0).to(torch.int32)
    return [each.requires_grad_() for each in tensors], ends_E


def gradients(
    dtype: torch.dtype, way: str | None, counts: tuple[int, ...] = COUNTS
) -> list[torch.Tensor]:
    tensors, ends_E = problem(dtype, counts)
    y_RD = grouped_swiglu(*tensors, ends_E, implementation=way)
    (y_RD.float() * torch.linspace(-1, 1, 24)).sum().backward()
    return [y_RD, *(each.grad for each in tensors if each.grad is not None)]


def truth(counts: tuple[int, ...] = COUNTS) -> list[torch.Tensor]:
    tensors, ends_E = problem(torch.float32, counts)
    x, gate, up, down = (each.detach().double().requires_grad_() for each in tensors)
    ends = ends_E.tolist()
    pieces = [
        (F.silu(x[s:e] @ gate[n].T) * (x[s:e] @ up[n].T)) @ down[n].T
        for n, (s, e) in enumerate(zip([0, *ends[:-1]], ends, strict=True))
    ]
    y = torch.cat(pieces)
    (y * torch.linspace(-1, 1, 24, dtype=torch.float64)).sum().backward()
    return [y, *(each.grad for each in (x, gate, up, down) if each.grad is not None)]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.bfloat16, 2e-2)], ids=str
)
def test_output_and_gradients(dtype: torch.dtype, tolerance: float, way: str) -> None:
    found, wanted = gradients(dtype, way), truth()
    assert len(found) == len(wanted) == 5
    for one, other in zip(found, wanted, strict=True):
        assert (one.double() - other).norm() / other.norm() < tolerance
    for gradient in found[2:]:
        assert gradient.dtype == torch.float32
        assert not gradient[1].any(), "an expert without rows has a gradient of exactly zero"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_rows_of_no_expert_are_left_out(dtype: torch.dtype, way: str) -> None:
    tensors, ends_E = problem(dtype, tail=3)
    with torch.no_grad():
        tensors[0][-3:] = math.nan
    y_RD = grouped_swiglu(*tensors, ends_E, implementation=way)
    assert len(y_RD) == sum(COUNTS)
    y_RD.float().sum().backward()
    for each in tensors:
        assert each.grad is not None
        assert each.grad.isfinite().all()
    assert tensors[0].grad is not None
    assert not tensors[0].grad[-3:].any()


@pytest.mark.parametrize("way", WAYS)
def test_nothing_to_do(way: str) -> None:
    tensors, ends_E = problem(torch.float32, (0, 0, 0))
    y_RD = grouped_swiglu(*tensors, ends_E, implementation=way)
    assert y_RD.shape == (0, 24)
    y_RD.sum().backward()
    for each in tensors[1:]:
        assert each.grad is not None
        assert not each.grad.any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_same_bits_every_time_and_gradients_that_are_no_block(dtype: torch.dtype) -> None:
    one, other = (gradients(dtype, "by_expert") for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    tensors, ends_E = problem(dtype)
    y_RD = grouped_swiglu(*tensors, ends_E)
    y_RD.sum().backward()  # an expanded gradient, and no copy of it asked for
    assert tensors[0].grad is not None
    wanted, _ = problem(dtype)
    y_RD = grouped_swiglu(*wanted, ends_E)
    y_RD.backward(torch.ones_like(y_RD))
    assert wanted[0].grad is not None
    torch.testing.assert_close(tensors[0].grad, wanted[0].grad, rtol=0, atol=0)


def test_how_many_rows_a_neighbour_has_does_not_matter() -> None:
    """In bf16 rows are rounded up for each expert: what is behind them must not leak."""
    few = gradients(torch.bfloat16, "by_expert", (3, 16, 0, 0, 0))
    tensors, ends_E = problem(torch.bfloat16, (3, 16, 0, 0, 0))
    with torch.no_grad():
        tensors[0][3:] = 1000.0
    y_RD = grouped_swiglu(*tensors, ends_E)
    assert torch.equal(y_RD[:3], few[0][:3])


def test_what_runs_and_why() -> None:
    tensors, ends_E = problem(torch.float32)
    grouped_swiglu(*tensors, ends_E)
    assert str(grouped_swiglu.last) == "by_expert: one expert after another"
    on_meta = [each.detach().to("meta") for each in tensors]
    assert grouped_swiglu.implementations[0].refuse(*on_meta, ends_E) == (
        "only a CPU wants one expert after another"
    )


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("frozen", [(1, 2, 3), (1,), (2, 3)], ids=str)
def test_frozen_matrices_change_nothing_else(
    frozen: tuple[int, ...], dtype: torch.dtype, way: str
) -> None:
    wanted = gradients(dtype, way)
    tensors, ends_E = problem(dtype)
    for place in frozen:
        tensors[place].requires_grad_(False)
    y_RD = grouped_swiglu(*tensors, ends_E, implementation=way)
    (y_RD.float() * torch.linspace(-1, 1, 24)).sum().backward()
    assert torch.equal(y_RD, wanted[0])
    for place, tensor in enumerate(tensors):
        if place in frozen:
            assert tensor.grad is None
        else:
            assert tensor.grad is not None
            assert torch.equal(tensor.grad, wanted[place + 1])
