"""The chunked loss is the plain loss: value and gradients, in fp32 and bf16, for any chunk size."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from ava_kernels import linear_cross_entropy, linear_loss


def problem(
    tokens: int, width: int, vocab: int, dtype: torch.dtype = torch.float32
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x_ND = torch.randn(tokens, width, generator=generator).to(dtype).requires_grad_()
    weight_VD = (0.3 * torch.randn(vocab, width, generator=generator)).requires_grad_()
    target_N = torch.randint(vocab, (tokens,), generator=generator)
    return x_ND, weight_VD, target_N


@pytest.mark.parametrize("chunk_size", [None, 1, 7, 64, 1000])
def test_fp32_equals_cross_entropy(chunk_size: int | None) -> None:
    x_ND, weight_VD, target_N = problem(64, 24, 50)
    target_N[5:9] = -100
    loss = linear_cross_entropy(x_ND, weight_VD, target_N, chunk_size=chunk_size)
    (loss / 60).backward()  # type: ignore[no-untyped-call]
    x64_ND, weight64_VD = (each.detach().double().requires_grad_() for each in (x_ND, weight_VD))
    expected = F.cross_entropy(x64_ND @ weight64_VD.T, target_N, reduction="sum")
    (expected / 60).backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(loss.double(), expected, rtol=1e-6, atol=0)
    assert x_ND.grad is not None
    assert weight_VD.grad is not None
    torch.testing.assert_close(x_ND.grad.double(), x64_ND.grad, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(weight_VD.grad.double(), weight64_VD.grad, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("chunk_size", [None, 4, 32])
def test_bf16_value_is_exact_and_gradients_are_close(chunk_size: int | None) -> None:
    """torch 2.13's own chunked loss is off by percents here: it adds its chunks up in bf16."""
    x_ND, weight_VD, target_N = problem(512, 32, 300, torch.bfloat16)
    loss = linear_cross_entropy(x_ND, weight_VD, target_N, chunk_size=chunk_size)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.dtype == torch.float32
    logits_NV = x_ND.detach() @ weight_VD.detach().bfloat16().T
    expected = F.cross_entropy(logits_NV.double(), target_N, reduction="sum")
    torch.testing.assert_close(loss.double(), expected, rtol=1e-6, atol=0)
    x64_ND = x_ND.detach().double().requires_grad_()
    weight64_VD = weight_VD.detach().bfloat16().double().requires_grad_()
    F.cross_entropy(x64_ND @ weight64_VD.T, target_N, reduction="sum").backward()
    for found, true in ((x_ND.grad, x64_ND.grad), (weight_VD.grad, weight64_VD.grad)):
        assert found is not None
        assert true is not None
        error = (found.double() - true).norm() / true.norm()
        assert error < 0.01, error
    assert weight_VD.grad is not None
    assert weight_VD.grad.dtype == torch.float32


@pytest.mark.parametrize("chunk_size", [None, 7])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("biased", [False, True])
def test_bias_and_label_smoothing_equal_torch(
    chunk_size: int | None, smoothing: float, *, biased: bool
) -> None:
    x_ND, weight_VD, target_N = problem(64, 24, 50)
    target_N[::5] = -100
    generator = torch.Generator().manual_seed(1)
    bias_V = torch.randn(50, generator=generator).requires_grad_() if biased else None
    given = [x_ND, weight_VD] + ([bias_V] if bias_V is not None else [])
    loss = linear_cross_entropy(
        x_ND, weight_VD, target_N, bias_V, label_smoothing=smoothing, chunk_size=chunk_size
    )
    found = torch.autograd.grad(loss, given)
    copies = [each.detach().double().requires_grad_() for each in given]
    logits_NV = copies[0] @ copies[1].T + (copies[2] if biased else 0.0)
    expected = F.cross_entropy(logits_NV, target_N, reduction="sum", label_smoothing=smoothing)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-6, atol=0)
    for one, other in zip(found, torch.autograd.grad(expected, copies), strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-5, atol=1e-6)
    same = linear_cross_entropy(
        x_ND, weight_VD, target_N, bias_V, label_smoothing=smoothing, implementation="reference"
    )
    torch.testing.assert_close(same, loss, rtol=1e-6, atol=0)


def test_a_chunk_without_a_target_gives_no_gradient() -> None:
    x_ND, weight_VD, target_N = problem(8, 4, 6)
    target_N[:] = -100
    loss = linear_cross_entropy(x_ND, weight_VD, target_N, label_smoothing=0.2, chunk_size=3)
    grads = torch.autograd.grad(loss, (x_ND, weight_VD))
    assert loss == 0
    assert not any(grad.any() for grad in grads)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_any_loss_of_the_logits_is_chunked_the_same_way(dtype: torch.dtype) -> None:
    x_ND, weight_VD, target_N = problem(40, 16, 30, dtype)
    bias_V = torch.linspace(-1, 1, 30).requires_grad_()

    def measure(
        logits_CV: torch.Tensor, target_C: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        losses_C = F.cross_entropy(logits_CV / 2, target_C, reduction="none")
        return losses_C.square().sum(), torch.stack([losses_C.sum(), logits_CV.sum()])

    total, parts_P = linear_loss(x_ND, weight_VD, target_N, bias_V, measure, chunk_size=7)
    found = torch.autograd.grad(total, (x_ND, weight_VD, bias_V))
    logits_NV = F.linear(x_ND, weight_VD.to(dtype)).float() + bias_V
    expected, expected_P = measure(logits_NV, target_N)
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    torch.testing.assert_close(total, expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(parts_P, expected_P, rtol=1e-4, atol=1e-4)
    assert not parts_P.requires_grad
    truth = torch.autograd.grad(expected, (x_ND, weight_VD, bias_V))
    for one, other in zip(found, truth, strict=True):
        assert (one - other).norm() <= tolerance * other.norm()


def test_torchs_own_bf16_loss_is_the_wrong_one() -> None:
    """Why we have ours. When this fails, torch has repaired it: look whether theirs will do."""
    x_ND, weight_VD, target_N = problem(4096, 32, 512, torch.bfloat16)
    logits_NV = x_ND.detach() @ weight_VD.detach().bfloat16().T
    truth = F.cross_entropy(logits_NV.double(), target_N).item()
    ours = linear_cross_entropy(x_ND, weight_VD, target_N, chunk_size=32).item() / 4096
    options = torch.nn.LinearCrossEntropyOptions(batch_chunk_size=32)
    theirs = F.linear_cross_entropy(x_ND, weight_VD.bfloat16(), target_N, options=options).item()
    assert abs(ours / truth - 1) < 1e-6
    assert abs(theirs / truth - 1) > 0.005


def test_the_scale_of_the_gradient_is_not_rounded_to_bf16() -> None:
    x_ND, weight_VD, target_N = problem(96, 16, 40, torch.bfloat16)
    (one,) = torch.autograd.grad(linear_cross_entropy(x_ND, weight_VD, target_N), x_ND)
    third = 1 / 3  # bf16 would make it 0.33398
    (scaled,) = torch.autograd.grad(linear_cross_entropy(x_ND, weight_VD, target_N) * third, x_ND)
    assert torch.equal(scaled, (one.float() * third).bfloat16())


def test_same_numbers_every_time() -> None:
    results = []
    for _ in range(2):
        x_ND, weight_VD, target_N = problem(100, 16, 60)
        loss = linear_cross_entropy(x_ND, weight_VD, target_N, chunk_size=13)
        loss.backward()  # type: ignore[no-untyped-call]
        results.append((loss, x_ND.grad, weight_VD.grad))
    for first, second in zip(*results, strict=True):
        assert torch.equal(first, second)


def test_evaluation_computes_no_gradient() -> None:
    x_ND, weight_VD, target_N = problem(20, 8, 30)
    with torch.no_grad():
        loss = linear_cross_entropy(x_ND, weight_VD, target_N)
    assert not loss.requires_grad


def test_it_says_what_ran_and_why() -> None:
    x_ND, weight_VD, target_N = problem(20, 8, 30)
    linear_cross_entropy(x_ND, weight_VD, target_N)
    assert str(linear_cross_entropy.last) == "chunked: gradient in the forward pass"
    linear_cross_entropy(x_ND.double(), weight_VD.double(), target_N)
    assert str(linear_cross_entropy.last) == "reference: fp64 is for checking"
    linear_cross_entropy(x_ND, weight_VD, target_N, implementation="reference")
    assert str(linear_cross_entropy.last) == "reference: asked for"
    with pytest.raises(ValueError, match="it has chunked, reference"):
        linear_cross_entropy(x_ND, weight_VD, target_N, implementation="triton")
    with pytest.raises(ValueError, match="cannot run here: fp64"):
        linear_cross_entropy(x_ND.double(), weight_VD.double(), target_N, implementation="chunked")


def loss_and_gradients(
    dtype: torch.dtype, wanted: set[str], *, own_loss: bool
) -> tuple[torch.Tensor, dict[str, torch.Tensor | None]]:
    """A loss, and the gradients of what is not frozen."""
    x_ND, weight_VD, target_N = problem(64, 24, 50, dtype)
    target_N[::5] = -100
    bias_V = torch.linspace(-1, 1, 50)
    inputs = {"x": x_ND, "weight": weight_VD, "bias": bias_V}
    for name, each in inputs.items():
        each.requires_grad_(name in wanted)
    if own_loss:
        loss = linear_loss(x_ND, weight_VD, target_N, bias_V, squares, chunk_size=7)[0]
    else:
        loss = linear_cross_entropy(x_ND, weight_VD, target_N, bias_V, chunk_size=7)
    if wanted:
        (loss / 51).backward()  # type: ignore[no-untyped-call]
    return loss.detach(), {name: each.grad for name, each in inputs.items()}


def squares(logits_CV: torch.Tensor, target_C: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Some other loss."""
    total = (logits_CV.square().sum(dim=-1) * (target_C != -100)).sum()
    return total, total[None]


@pytest.mark.parametrize("own_loss", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("wanted", ["x", "weight", "bias", "x bias", ""])
def test_what_is_frozen_changes_nothing_else(
    wanted: str, dtype: torch.dtype, *, own_loss: bool
) -> None:
    loss, gradients = loss_and_gradients(dtype, {"x", "weight", "bias"}, own_loss=own_loss)
    found, others = loss_and_gradients(dtype, set(wanted.split()), own_loss=own_loss)
    assert torch.equal(loss, found)
    for name, gradient in others.items():
        if name in wanted.split():
            wanted_gradient = gradients[name]
            assert gradient is not None
            assert wanted_gradient is not None
            assert torch.equal(gradient, wanted_gradient)
        else:
            assert gradient is None
