"""Every key of the mixture of experts does what it says."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from workbench.config.schema import ModelConfig
from workbench.config.size import num_expert_layers
from workbench.models.base import Batch
from workbench.models.decoder import Decoder
from workbench.models.feed_forward import FeedForward
from workbench.models.init import init_weights
from workbench.models.moe import MixtureOfExperts, balance_experts, has_experts
from workbench.models.moe_balance import Balance
from workbench.models.moe_router import Choice, Routing

WIDTH, EXPERTS = 16, 8


def make(**options: Any) -> MixtureOfExperts:
    defaults = {
        "hidden_size": WIDTH,
        "intermediate_size": 24,
        "num_experts": EXPERTS,
        "num_experts_per_token": 3,
        "router_aux_loss_coef": 0.0,
    }
    moe = MixtureOfExperts(ModelConfig.model_validate(defaults | options))
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in moe.parameters():
            parameter.normal_(0, 0.4, generator=generator)
        for buffer in moe.buffers():
            buffer.zero_()
    return moe


def x(tokens: int = 22) -> torch.Tensor:
    return torch.randn(2, tokens // 2, WIDTH, generator=torch.Generator().manual_seed(3))


def route(moe: MixtureOfExperts, **kwargs: Any) -> tuple[Choice, Routing]:
    choice, routing = moe.router(x().flatten(0, 1), 2, **kwargs)
    return choice, routing


def logits(moe: MixtureOfExperts) -> torch.Tensor:
    return x().flatten(0, 1) @ moe.router.weight.T


@pytest.mark.honours("model.moe.score_function")
def test_scores() -> None:
    moe = make(moe={"score_function": "sigmoid", "normalize_expert_weights": False})
    score_TE = logits(moe).sigmoid()
    wanted = score_TE.topk(3)
    choice, routing = route(moe)
    torch.testing.assert_close(choice.gate_TK, wanted.values)
    assert torch.equal(choice.expert_TK, wanted.indices)
    # The measure of balance is over shares, whatever the scores: 1 when all are equal.
    with torch.no_grad():
        moe.router.weight.zero_()
    assert route(moe)[1].balance.item() == pytest.approx(1.0)
    assert routing.balance.item() != pytest.approx(1.0, abs=1e-3)


@pytest.mark.honours("model.moe.normalize_expert_weights", "model.moe.routed_scaling_factor")
def test_weights_of_the_chosen() -> None:
    share_T = logits(make()).softmax(-1).topk(3).values.sum(-1)
    for normalise, total_T in ((True, torch.ones(22)), (False, share_T)):
        moe = make(moe={"normalize_expert_weights": normalise, "routed_scaling_factor": 2.5})
        torch.testing.assert_close(route(moe)[0].gate_TK.sum(-1), 2.5 * total_T)


@pytest.mark.honours("model.moe.num_expert_groups", "model.moe.num_limited_groups")
@pytest.mark.parametrize("score_function", ["softmax", "sigmoid"])
def test_experts_come_from_the_best_groups(score_function: str) -> None:
    moe = make(
        moe={"num_expert_groups": 4, "num_limited_groups": 2, "score_function": score_function}
    )
    score_TE = logits(moe).sigmoid() if score_function == "sigmoid" else logits(moe).softmax(-1)
    expert_TK = route(moe)[0].expert_TK
    for score_E, expert_K in zip(score_TE, expert_TK, strict=True):
        pairs = score_E.view(4, 2)
        worth = pairs.sum(1) if score_function == "sigmoid" else pairs.amax(1)
        groups = set(worth.topk(2).indices.tolist())
        allowed = [e for e in range(EXPERTS) if e // 2 in groups]
        best = sorted(allowed, key=lambda e: -score_E[e].item())[:3]
        assert set(expert_K.tolist()) == set(best)
    free = make(moe={"score_function": score_function})
    assert not torch.equal(route(free)[0].expert_TK, expert_TK)


@pytest.mark.honours("model.moe_balancing.method")
def test_the_bias_chooses_and_never_weighs() -> None:
    moe = make(moe={"score_function": "sigmoid", "normalize_expert_weights": False})
    biased = make(
        moe={"score_function": "sigmoid", "normalize_expert_weights": False},
        moe_balancing={"method": "loss_free"},
    )
    bias = biased.router.balance.bias
    assert bias is not None
    assert moe.router.balance.bias is None
    one, other = route(moe)[0], route(biased)[0]
    assert torch.equal(one.gate_TK, other.gate_TK), "a bias of zero changes nothing"
    with torch.no_grad():
        bias.copy_(torch.linspace(-1, 1, EXPERTS))
    choice, routing = route(biased)
    score_TE = logits(biased).sigmoid()
    assert torch.equal(choice.expert_TK, (score_TE + bias).topk(3).indices)
    torch.testing.assert_close(choice.gate_TK, score_TE.gather(1, choice.expert_TK))
    assert not torch.equal(choice.expert_TK, one.expert_TK)
    assert not routing.loss.any(), "loss_free has no auxiliary loss"
    # Nor does the gradient know of it: a shift of all of them changes not one bit.
    gradients = []
    for shift in (0.0, 0.75):
        with torch.no_grad():
            bias.add_(shift)
        biased.zero_grad()
        biased(x())[0].square().sum().backward()
        gradients.append(
            [each.grad.clone() for each in biased.parameters() if each.grad is not None]
        )
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


@pytest.mark.honours("model.moe_balancing.bias_update_rate", "model.moe_balancing.bias_decay")
def test_the_bias_moves_against_the_load() -> None:
    balancing = {"method": "loss_free", "bias_update_rate": 0.01}
    balance = make(moe_balancing=balancing).router.balance
    counts_E = torch.tensor([9, 1, 5, 5, 5, 5, 5, 5])  # their mean is 5
    balance.move(counts_E)
    assert balance.bias is not None
    torch.testing.assert_close(balance.bias, torch.tensor([-0.01, 0.01, 0, 0, 0, 0, 0, 0]))
    remembering = make(moe_balancing=balancing | {"bias_decay": 0.75}).router.balance
    remembering.move(counts_E)
    remembering.move(counts_E.flip(0))
    assert remembering.load is not None
    wanted = 0.75 * 0.25 * counts_E + 0.25 * counts_E.flip(0)
    torch.testing.assert_close(remembering.load, wanted)
    assert remembering.bias is not None
    assert remembering.bias[0].item() == pytest.approx(-0.02), "still too busy on average"
    balance.move(counts_E.flip(0))
    assert balance.bias[0].item() == pytest.approx(-0.01), "the last step alone was even"


def test_the_bias_stays_fp32_and_in_the_state() -> None:
    model = Decoder(
        ModelConfig.model_validate(
            {
                "hidden_size": WIDTH,
                "num_layers": 2,
                "num_attention_heads": 2,
                "intermediate_size": 24,
                "vocab_size": 20,
                "num_experts": 4,
                "moe_balancing": {"method": "loss_free", "bias_decay": 0.5},
            }
        )
    )
    init_weights(model, 1)
    balance_experts(model, torch.tensor([[4, 0, 0, 0], [0, 0, 0, 4]]))
    state = model.state_dict()
    assert state["blocks.1.feed_forward.router.balance.bias"].tolist() == pytest.approx(
        [0.001, 0.001, 0.001, -0.001]
    )
    before = [each.clone() for each in model.buffers()]
    for module in (model, model.blocks[0], model.blocks[1].feed_forward.router):
        module.to(torch.bfloat16)
    for one, other in zip(model.buffers(), before, strict=True):
        assert one.dtype == torch.float32
        torch.testing.assert_close(one, other, rtol=1e-2, atol=0)
    init_weights(model, 1)
    assert not any(each.any() for each in model.buffers()), "the first bias is zero"
    with torch.device("meta"):
        assert Decoder(model.config).state_dict().keys() == state.keys()


def test_bias_balancing_evens_a_lopsided_router() -> None:
    """Max over mean falls in a toy whose router never learns (2408.15664, section 4)."""
    moe = make(
        num_experts_per_token=2, moe_balancing={"method": "loss_free", "bias_update_rate": 0.005}
    )
    generator = torch.Generator().manual_seed(7)
    loads = []
    for _ in range(300):
        text = torch.randn(4, 64, WIDTH, generator=generator) + 0.3
        _, routing = moe(text)
        loads.append((routing.counts_E.max() / routing.counts_E.float().mean()).item())
        for each in (module for module in moe.modules() if isinstance(module, Balance)):
            each.move(routing.counts_E)
    assert loads[0] > 1.6
    assert sum(loads[-20:]) / 20 < 1.25


@pytest.mark.honours("model.moe_balancing.loss_type", "model.router_aux_loss_coef")
def test_entropy_instead_of_load() -> None:
    moe = make(router_aux_loss_coef=0.5, moe_balancing={"loss_type": "entropy"})
    mean_E = logits(moe).softmax(-1).mean(0)
    _, routing = route(moe)
    torch.testing.assert_close(
        routing.loss, 0.5 * (math.log(EXPERTS) + (mean_E * mean_E.log()).sum())
    )
    with torch.no_grad():
        moe.router.weight.zero_()
    assert route(moe)[1].loss.item() == pytest.approx(0.0, abs=1e-6)
    for method in ("none", "loss_free"):
        silent = make(router_aux_loss_coef=0.5, moe_balancing={"method": method})
        assert not route(silent)[1].loss.any()


@pytest.mark.honours("model.moe_balancing.sequence_loss_coef")
def test_balance_within_each_sequence() -> None:
    """arXiv 2412.19437, equations 17 to 20, with padding left out."""
    moe = make(
        moe={"score_function": "sigmoid"},
        moe_balancing={"method": "loss_free", "sequence_loss_coef": 0.3},
    )
    for present_BT in (None, torch.arange(11) < torch.tensor([[11], [4]])):
        _, routing = moe(x(), present_BT)
        score_BTE = logits(moe).sigmoid().view(2, 11, EXPERTS)
        total = torch.zeros(())
        for row in range(2):
            length = 11 if present_BT is None else int(present_BT[row].sum())
            score_TE = score_BTE[row, :length]
            chosen = score_TE.topk(3).indices
            for e in range(EXPERTS):
                f = EXPERTS / (3 * length) * (chosen == e).sum()
                total = total + f * (score_TE[:, e] / score_TE.sum(-1)).mean() / 2
        torch.testing.assert_close(routing.loss, 0.3 * total)


@pytest.mark.honours("model.router_z_loss_coef")
def test_z_loss_and_padding() -> None:
    moe = make(router_z_loss_coef=0.1)
    present_BT = torch.arange(11) < torch.tensor([[11], [4]])
    _, routing = moe(x(), present_BT)
    z_T = logits(moe).logsumexp(-1).square()
    torch.testing.assert_close(routing.loss, 0.1 * z_T[present_BT.flatten()].mean())


def test_padding_visits_no_expert() -> None:
    moe = make(expert_capacity_factor=1.0)
    present_BT = torch.arange(11) < torch.tensor([[11], [4]])
    given = x().requires_grad_()
    y_BTD, routing = moe(given, present_BT)
    y_BTD.sum().backward()
    assert routing.counts_E.sum() == 15 * 3
    assert not y_BTD[~present_BT].any()
    assert given.grad is not None
    assert not given.grad[~present_BT].any()
    assert routing.dropped < 15 * 3
    alone = make().eval()
    y_BTD, _ = alone(x(), present_BT)
    torch.testing.assert_close(y_BTD[1, :4], alone(x()[1:, :4])[0][0])


@pytest.mark.honours("model.moe.router_temperature", "model.moe.router_noise_std")
def test_temperature_and_noise() -> None:
    moe = make(moe={"router_temperature": 3.0, "normalize_expert_weights": False})
    torch.testing.assert_close(route(moe)[0].gate_TK, (logits(moe) / 3).softmax(-1).topk(3).values)
    noisy = make(moe={"router_noise_std": 2.0})
    torch.manual_seed(0)
    assert not torch.equal(route(noisy)[0].expert_TK, route(noisy)[0].expert_TK)
    noisy.eval()
    assert torch.equal(route(noisy)[0].expert_TK, route(make())[0].expert_TK)


@pytest.mark.honours("model.expert_dropout")
def test_expert_dropout() -> None:
    moe = make(expert_dropout=0.5)
    torch.manual_seed(0)
    one, other = moe(x())[0], moe(x())[0]
    assert not torch.equal(one, other)
    moe.eval()
    assert torch.equal(moe(x())[0], make()(x())[0])
    # On average it changes nothing.
    moe.train()
    mean = torch.stack([moe(x())[0] for _ in range(400)]).mean(0)
    assert (mean - make()(x())[0]).norm() / mean.norm() < 0.15


@pytest.mark.honours("model.expert_capacity_factor", "model.moe.min_expert_capacity")
def test_room_per_expert() -> None:
    def dropped(**moe: Any) -> int:
        return int(route(make(expert_capacity_factor=0.5, moe=moe))[1].dropped)

    counts_E = route(make())[1].counts_E
    room = math.ceil(0.5 * 66 / EXPERTS)
    assert dropped() == (counts_E - room).clamp(min=0).sum().item() > 0
    assert dropped(min_expert_capacity=room + 2) == (counts_E - room - 2).clamp(min=0).sum().item()
    assert dropped(min_expert_capacity=22) == 0


@pytest.mark.honours("model.moe.num_shared_experts", "model.moe.shared_intermediate_size")
@pytest.mark.honours("model.moe.expert_intermediate_size")
def test_shared_experts() -> None:
    moe = make(
        mlp_bias=False,
        moe={
            "num_shared_experts": 2,
            "shared_intermediate_size": 10,
            "expert_intermediate_size": 12,
        },
    )
    assert moe.experts.up_proj.shape == (EXPERTS, 12, WIDTH)
    assert isinstance(moe.shared, FeedForward)
    assert moe.shared.up_proj.weight.shape == (20, WIDTH)
    y_BTD = moe(x())[0]
    shared, moe.shared = moe.shared, None
    torch.testing.assert_close(y_BTD, moe(x())[0] + shared(x()))
    # Two experts that everybody visits are one of twice the width.
    up, gate, down = (shared.up_proj.weight, shared.gate_proj.weight, shared.down_proj.weight)  # type: ignore[union-attr]
    parts = [
        (nn.functional.silu(x() @ gate[s].T) * (x() @ up[s].T)) @ down[:, s].T
        for s in (slice(0, 10), slice(10, 20))
    ]
    torch.testing.assert_close(shared(x()), parts[0] + parts[1])
    by_default = make(moe={"num_shared_experts": 1, "expert_intermediate_size": 12})
    assert isinstance(by_default.shared, FeedForward)
    assert by_default.shared.up_proj.weight.shape == (12, WIDTH)


@pytest.mark.honours("model.moe.num_dense_layers", "model.moe.dense_layer_interval")
@pytest.mark.parametrize(
    ("moe", "wanted"),
    [
        ({}, "eeeeee"),
        ({"num_dense_layers": 2}, "ddeeee"),
        ({"dense_layer_interval": 2}, "dedede"),
        ({"dense_layer_interval": 3, "num_dense_layers": 2}, "ddedee"),
        ({"dense_layer_interval": 1}, "dddddd"),
    ],
)
def test_dense_layers(moe: dict[str, Any], wanted: str) -> None:
    config = ModelConfig.model_validate(
        {
            "hidden_size": WIDTH,
            "num_layers": 6,
            "num_attention_heads": 2,
            "intermediate_size": 24,
            "vocab_size": 20,
            "num_experts": 4,
            "moe": moe | {"expert_intermediate_size": 8},
        }
    )
    model = Decoder(config)
    kinds = "".join(
        "e" if isinstance(block.feed_forward, MixtureOfExperts) else "d" for block in model.blocks
    )
    assert kinds == wanted == "".join("e" if has_experts(config, n) else "d" for n in range(6))
    assert num_expert_layers(config) == wanted.count("e")
    init_weights(model, 1)
    tokens_BT = torch.arange(10).view(2, 5)
    assert len(model(Batch(tokens_BT, tokens_BT)).routings) == wanted.count("e")


@pytest.mark.honours("model.router_type", "model.num_experts", "model.num_experts_per_token")
def test_switch_scales_by_the_probability_of_the_best() -> None:
    moe = make(router_type="switch", num_experts_per_token=1)
    choice, routing = route(moe)
    p_TE = logits(moe).softmax(-1)
    torch.testing.assert_close(choice.gate_TK[:, 0], p_TE.amax(-1))
    assert torch.equal(choice.expert_TK[:, 0], p_TE.argmax(-1))
    assert len(routing.counts_E) == EXPERTS
    assert routing.counts_E.sum() == 22


def test_the_auxiliary_loss_of_transformers_is_k_times_ours() -> None:
    from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

    _, routing = route(make(router_aux_loss_coef=1.0))
    theirs = load_balancing_loss_func((logits(make()),), EXPERTS, 3)
    torch.testing.assert_close(3 * routing.loss, torch.as_tensor(theirs))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"moe": {"num_expert_groups": 3}}, "cannot be divided into"),
        ({"moe": {"num_expert_groups": 4, "num_limited_groups": 1}}, "cannot offer"),
        ({"router_type": "hash"}, "hash is not built"),
    ],
)
def test_contradictions_are_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make(**options)
