"""The linear layer by oneDNN is torch's, and it stays away from what it would do worse."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from ava_kernels import linear, linear_cross_entropy
from ava_kernels.linear import _refuse_machine, by_onednn, refuse_onednn
from torch.utils.flop_counter import FlopCounterMode

LARGE = (1024, 256, 128)
HERE = pytest.mark.skipif(_refuse_machine() is not None, reason=str(_refuse_machine()))


def tensors(rows: int = 1024, width: int = 256, out: int = 128) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(4, rows // 4, width), (out, width), (out,)]
    return [torch.randn(*each, generator=generator).requires_grad_() for each in shapes]


@HERE
@pytest.mark.parametrize("with_bias", [False, True])
def test_values_and_gradients_are_whole_fp32(*, with_bias: bool) -> None:
    x, weight, bias = tensors(*LARGE)
    assert (refuse_onednn(x, weight) is None) == (x.numel() * len(weight) >= 2**24)
    operands = (x, weight, bias) if with_bias else (x, weight)
    found = linear(*operands, implementation="onednn")
    assert linear.last is not None
    assert linear.last.name == "onednn"
    sharp = [each.detach().double().requires_grad_() for each in operands]
    wanted = F.linear(*sharp)
    slope = torch.rand(wanted.shape, generator=torch.Generator().manual_seed(1))
    gradients = torch.autograd.grad(found, operands, slope)
    truths = torch.autograd.grad(wanted, sharp, slope.double())
    for one, other in zip((found, *gradients), (wanted, *truths), strict=True):
        assert one.dtype == torch.float32
        assert (one.double() - other).norm() / other.norm() < 1e-6


@HERE
@pytest.mark.parametrize("frozen", [0, 1, 2])
def test_what_is_frozen_has_no_gradient(frozen: int) -> None:
    operands = tensors(*LARGE)
    operands[frozen].requires_grad_(False)
    linear(*operands).sum().backward()
    assert [each.grad is None for each in operands] == [n == frozen for n in range(3)]


def test_the_setting_is_put_back() -> None:
    settings = torch.backends.mkldnn.matmul
    before = settings.fp32_precision
    x, weight, bias = tensors(*LARGE)
    linear(x, weight, bias).sum().backward()
    linear_cross_entropy(
        x.flatten(0, 1), torch.randn(4096, 256), torch.zeros(1024, dtype=torch.long)
    ).backward()
    assert settings.fp32_precision == before
    with pytest.raises(RuntimeError), by_onednn():
        raise RuntimeError
    assert settings.fp32_precision == before


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda x, w: (x.bfloat16(), w.bfloat16()), "only fp32"),
        (lambda x, w: (x[:, :4], w), "small"),
        (lambda x, w: (x.to("meta"), w.to("meta")), "only a CPU"),
    ],
)
def test_when_torch_multiplies(
    change: Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]], why: str
) -> None:
    refusal = refuse_onednn(*change(*tensors(*LARGE)[:2]))
    assert refusal is not None
    assert why in refusal


@HERE
def test_whoever_watches_the_operations_sees_torch_s() -> None:
    x, weight, _ = tensors(*LARGE)
    with FlopCounterMode(display=False) as counter:
        linear(x, weight)
    assert linear.last is not None
    assert linear.last.name == "torch"
    assert counter.get_total_flops() == 2 * 1024 * 256 * 128
