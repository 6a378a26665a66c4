"""The blocked attention is attention: value and gradients against fp64, any shape, any mask."""

from __future__ import annotations

import math

import pytest
import torch
from ava_kernels import causal_attention
from ava_kernels.attention import _blocked

SHAPES = [
    (2, 4, 4, 128, 8, 8),  # batch, heads, key heads, positions, width, value width
    (1, 4, 2, 200, 16, 16),  # grouped queries, no whole number of blocks
    (3, 6, 1, 130, 8, 24),  # one key head, values of another width
    (1, 2, 2, 1, 8, 8),
]


def problem(
    shape: tuple[int, ...], dtype: torch.dtype = torch.float32
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    batch, heads, groups, length, width, value_width = shape
    generator = torch.Generator().manual_seed(6)

    def draw(count: int, size: int) -> torch.Tensor:
        # Laid out as projections leave them: positions before heads.
        x = torch.randn(batch, length, count, size, generator=generator).to(dtype)
        return x.transpose(1, 2).requires_grad_()

    return (
        draw(heads, width),
        draw(groups, width),
        draw(groups, value_width),
        draw(heads, value_width).detach(),
    )


def definition(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask_BTT: torch.Tensor | None
) -> torch.Tensor:
    q, k, v = (each.double() for each in (q, k, v))
    k, v = (each.repeat_interleave(q.shape[1] // each.shape[1], dim=1) for each in (k, v))
    score = q @ k.transpose(2, 3) / math.sqrt(q.shape[-1])
    seen = torch.ones(q.shape[2], q.shape[2], dtype=torch.bool).tril()
    if mask_BTT is not None:
        seen = seen & mask_BTT[:, None]
    return score.masked_fill(~seen, -math.inf).softmax(-1) @ v


def documents(batch: int, length: int) -> torch.Tensor:
    ends = torch.linspace(1, length, 3).long()
    number_T = (torch.arange(length)[:, None] >= ends).sum(1)
    return (number_T[:, None] == number_T).expand(batch, -1, -1).clone()


@pytest.mark.parametrize("masked", ["no", "one for all", "one for each"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_fp32_equals_the_definition(shape: tuple[int, ...], masked: str) -> None:
    q, k, v, grad = problem(shape)
    batch, length = shape[0], shape[3]
    mask = None
    if masked != "no":
        mask = documents(1 if masked == "one for all" else batch, length)
        if masked == "one for each":
            mask[-1] = True
    y = _blocked(q, k, v, mask)
    found = torch.autograd.grad(y, (q, k, v), grad)
    expected = definition(q, k, v, mask)
    wanted = torch.autograd.grad(expected, (q, k, v), grad.double())
    torch.testing.assert_close(y.double(), expected, rtol=1e-5, atol=2e-6)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one.double(), other.double(), rtol=1e-4, atol=1e-5)


def test_bf16_is_as_close_as_bf16_can_be() -> None:
    q, k, v, grad = problem((2, 4, 2, 192, 32, 32), torch.bfloat16)
    y = _blocked(q, k, v)
    sdpa = causal_attention(q, k, v, implementation="sdpa")
    expected = definition(q, k, v, None)
    wanted = torch.autograd.grad(expected, (q, k, v), grad.double())
    for mine, theirs, true in zip(
        (y, *torch.autograd.grad(y, (q, k, v), grad)),
        (sdpa, *torch.autograd.grad(sdpa, (q, k, v), grad)),
        (expected, *wanted),
        strict=True,
    ):
        assert mine.dtype == torch.bfloat16
        error, other = ((each.double() - true).norm() / true.norm() for each in (mine, theirs))
        assert error < 0.006
        assert error < 2.5 * other  # scores are rounded to bf16 before the softmax, SDPA's are not


def test_the_scale_and_the_layout() -> None:
    q, k, v, _ = problem((2, 4, 2, 140, 8, 8))
    y = _blocked(q, k, v, scale=0.5)
    torch.testing.assert_close(
        y, causal_attention(q, k, v, scale=0.5, implementation="sdpa"), rtol=1e-5, atol=1e-6
    )
    # What follows wants (B, T, H V): that must cost no copy.
    assert y.transpose(1, 2).is_contiguous()


def test_same_numbers_every_time() -> None:
    results = []
    for _ in range(2):
        q, k, v, grad = problem((2, 4, 2, 150, 8, 8))
        y = _blocked(q, k, v)
        results.append((y, *torch.autograd.grad(y, (q, k, v), grad)))
    assert all(torch.equal(*pair) for pair in zip(*results, strict=True))


def test_shapes_are_known_without_data() -> None:
    q, k, v, _ = (each.detach().to("meta") for each in problem((2, 4, 2, 140, 8, 16)))
    y = torch.ops.ava.causal_attention(q, k, v, None, 1.0)
    assert y.shape == (2, 4, 140, 16)
    q, k, v, _ = problem((2, 4, 2, 140, 8, 16))
    torch.library.opcheck(torch.ops.ava.causal_attention.default, (q, k, v, None, 0.3))


def test_it_says_what_ran_and_why() -> None:
    q, k, v, _ = problem((1, 2, 2, 128, 8, 8))
    causal_attention(q, k, v)
    assert str(causal_attention.last) == "blocked: blocks that stay in the cache"
    causal_attention(q[:, :, :64], k[:, :, :64], v[:, :, :64])
    assert str(causal_attention.last) == "sdpa: a short or a long sequence"
    causal_attention(q[:, :, -1:], k, v)
    assert str(causal_attention.last) == "sdpa: there are keys of earlier positions"
    causal_attention(*(each.double() for each in (q, k, v)))
    assert str(causal_attention.last) == "sdpa: no float64"
    bias = torch.zeros(1, 128, 128)
    causal_attention(q, k, v, bias)
    assert str(causal_attention.last) == "sdpa: the mask is added"


def test_sdpa_lets_new_positions_see_the_old_ones() -> None:
    q, k, v, _ = problem((1, 4, 2, 40, 8, 8))
    whole = causal_attention(q, k, v, implementation="sdpa")
    part = causal_attention(q[:, :, 30:], k, v, implementation="sdpa")
    torch.testing.assert_close(part, whole[:, :, 30:], rtol=1e-5, atol=1e-6)
