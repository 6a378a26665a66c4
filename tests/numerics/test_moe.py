"""The sorted, grouped mixture of experts is the definition: a loop over tokens and choices."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from workbench.config.schema import ModelConfig
from workbench.models.moe import MixtureOfExperts
from workbench.models.moe_router import drop_beyond


def make(
    dtype: torch.dtype = torch.float32, **options: Any
) -> tuple[MixtureOfExperts, torch.Tensor]:
    defaults = {
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_experts": 4,
        "num_experts_per_token": 2,
    }
    moe = MixtureOfExperts(ModelConfig(**(defaults | options)))
    generator = torch.Generator().manual_seed(2)
    for parameter in moe.parameters():
        nn.init.normal_(parameter, std=0.4, generator=generator)
    x_BTD = torch.randn(2, 11, 16, generator=generator).to(dtype).requires_grad_()
    return moe, x_BTD


def definition(moe: MixtureOfExperts, x_BTD: torch.Tensor) -> torch.Tensor:
    """What a mixture of experts is, token by token."""
    experts, router = moe.experts, moe.router
    rows = []
    for x_D in x_BTD.flatten(0, 1):
        p_E = (router.weight @ x_D).softmax(-1)
        gate_K, expert_K = p_E.topk(router.choices)
        if router.choices > 1:
            gate_K = gate_K / gate_K.sum()
        y_D = torch.zeros_like(x_D)
        for gate, e in zip(gate_K, expert_K.tolist(), strict=True):
            up_F = experts.up_proj[e] @ x_D
            if experts.up_bias is not None:
                up_F = up_F + experts.up_bias[e]
            if experts.gate_proj is None:
                inner_F = F.gelu(up_F)
            else:
                gate_F = experts.gate_proj[e] @ x_D
                if experts.gate_bias is not None:
                    gate_F = gate_F + experts.gate_bias[e]
                inner_F = F.silu(gate_F) * up_F
            out_D = experts.down_proj[e] @ inner_F
            if experts.down_bias is not None:
                out_D = out_D + experts.down_bias[e]
            y_D = y_D + gate * out_D
        rows.append(y_D)
    return torch.stack(rows).view_as(x_BTD)


SHAPES = [
    {},
    {"num_experts_per_token": 1},
    {"num_experts_per_token": 1, "router_type": "switch"},
    {"num_experts_per_token": 4},
    {"hidden_act": "gelu", "mlp_bias": True},
    {"mlp_bias": True},
    {"intermediate_size": 23},  # too odd for grouped_mm: the loop
]


@pytest.mark.parametrize("options", SHAPES, ids=str)
def test_output_and_all_gradients(options: dict[str, Any]) -> None:
    moe, x_BTD = make(**options)
    y_BTD, _ = moe(x_BTD)
    y_BTD.square().sum().backward()
    found = [x_BTD.grad, *(each.grad for each in moe.parameters())]
    moe64, x64_BTD = make(**options)
    moe64 = moe64.double()
    x64_BTD = x64_BTD.detach().double().requires_grad_()
    expected_BTD = definition(moe64, x64_BTD)
    expected_BTD.square().sum().backward()  # type: ignore[no-untyped-call]
    true = [x64_BTD.grad, *(each.grad for each in moe64.parameters())]
    torch.testing.assert_close(y_BTD.double(), expected_BTD, rtol=2e-5, atol=2e-6)
    for gradient, gradient64 in zip(found, true, strict=True):
        if gradient64 is None:  # one choice renormalised: the router's gradient is exactly nothing
            assert gradient is None or not gradient.any()
            continue
        assert gradient is not None
        torch.testing.assert_close(gradient.double(), gradient64, rtol=1e-4, atol=1e-5)


def test_bf16_is_close() -> None:
    moe, x_BTD = make(torch.bfloat16)
    y_BTD, _ = moe(x_BTD)
    y_BTD.float().square().sum().backward()
    expected_BTD = definition(moe, x_BTD.detach().float())
    assert y_BTD.dtype == torch.bfloat16
    assert (y_BTD.float() - expected_BTD).norm() / expected_BTD.norm() < 0.01
    assert all(each.grad is not None and each.grad.isfinite().all() for each in moe.parameters())
    assert all(
        each.grad.dtype == torch.float32 for each in moe.parameters() if each.grad is not None
    )


def test_same_bits_every_time() -> None:
    results = []
    for _ in range(2):
        moe, x_BTD = make()
        y_BTD, routing = moe(x_BTD)
        (y_BTD.sum() + routing.loss).backward()
        results.append([y_BTD, x_BTD.grad, *(each.grad for each in moe.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_balance_reads_one_when_balanced_for_any_number_of_choices() -> None:
    for choices in (1, 2, 3):
        moe, x_BTD = make(num_experts_per_token=choices, router_aux_loss_coef=0.5)
        with torch.no_grad():
            moe.router.weight.zero_()  # every expert equally probable
        _, routing = moe(x_BTD)
        assert routing.balance.item() == pytest.approx(1.0)
        assert routing.loss.item() == pytest.approx(0.5)
        assert routing.counts_E.sum().item() == 22 * choices


def test_auxiliary_losses_against_their_definitions() -> None:
    moe, x_BTD = make(router_aux_loss_coef=0.1, router_z_loss_coef=0.01)
    _, routing = moe(x_BTD)
    logits_TE = x_BTD.flatten(0, 1) @ moe.router.weight.T
    p_TE = logits_TE.softmax(-1)
    chosen_TK = p_TE.topk(2).indices
    f_E = torch.stack([(chosen_TK == e).float().mean() for e in range(4)])
    balance = 4 * (f_E * p_TE.mean(0)).sum()
    z = torch.log(logits_TE.exp().sum(-1)).square().mean()
    torch.testing.assert_close(routing.loss, 0.1 * balance + 0.01 * z)


@pytest.mark.parametrize("choices", [1, 2])
def test_capacity_drops_the_latest_and_never_overflows(choices: int) -> None:
    generator = torch.Generator().manual_seed(3)
    expert_TK = torch.rand(40, 5, generator=generator).topk(choices).indices
    room = math.ceil(0.8 * 40 * choices / 5)
    kept_TK = drop_beyond(expert_TK, room, 5)
    seen = [0] * 5
    for choice in range(choices):  # all first choices before any second
        for token in range(40):
            expert = int(expert_TK[token, choice])
            assert int(kept_TK[token, choice]) == (expert if seen[expert] < room else 5)
            seen[expert] += 1


def test_a_dropped_token_skips_the_experts() -> None:
    moe, x_BTD = make(num_experts_per_token=1, router_type="switch", expert_capacity_factor=0.25)
    y_BTD, routing = moe(x_BTD)
    y_BTD.sum().backward()
    untouched = (y_BTD.flatten(0, 1) == 0).all(dim=-1)
    assert routing.dropped.item() == untouched.sum().item() > 0
    assert x_BTD.grad is not None
    assert x_BTD.grad.isfinite().all()
    moe.eval()
    y_BTD, routing = moe(x_BTD)
    assert routing.dropped.item() == 0, "evaluation never drops"
    torch.testing.assert_close(y_BTD, definition(moe, x_BTD), rtol=2e-5, atol=2e-6)


def test_jitter_moves_the_choice_in_training_only() -> None:
    moe, x_BTD = make(router_jitter_noise=0.5)
    first, second = moe(x_BTD)[0], moe(x_BTD)[0]
    assert not torch.equal(first, second)
    moe.eval()
    assert torch.equal(moe(x_BTD)[0], moe(x_BTD)[0])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_experts_per_token": 5}, "num_experts_per_token 5 is more than"),
        ({"router_type": "switch"}, "switch sends each token to one expert"),
    ],
)
def test_contradictions_are_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make(**options)
