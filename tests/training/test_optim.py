"""Each optimizer against torch's, transformers' or a reference by hand in fp64."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from workbench.config.schema import ModelConfig, TrainingConfig
from workbench.errors import ConfigError
from workbench.models.decoder import Decoder
from workbench.training.optim import make_optimizer
from workbench.training.optim.adamw_8bit import pack, unpack
from workbench.training.optim.muon import orthogonal

Gradients = list[dict[str, torch.Tensor]]


class Small(nn.Module):
    """A hidden matrix, a stack of them, a bias and an embedding."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.matrix = nn.Parameter(torch.randn(20, 12, generator=generator))
        self.stack = nn.Parameter(torch.randn(3, 8, 10, generator=generator))
        self.embedding = nn.Parameter(torch.randn(30, 4, generator=generator))
        self.bias = nn.Parameter(torch.randn(20, generator=generator))


def config(**options: Any) -> TrainingConfig:
    return TrainingConfig(**{"learning_rate": 0.01, "weight_decay": 0.1, **options})


def gradients(model: nn.Module, steps: int, seed: int = 2) -> Gradients:
    generator = torch.Generator().manual_seed(seed)
    return [
        {
            name: torch.randn(each.shape, generator=generator)
            for name, each in model.named_parameters()
        }
        for _ in range(steps)
    ]


def run(
    model: nn.Module, optimizer: torch.optim.Optimizer, steps: Gradients, dtype: Any = None
) -> dict[str, torch.Tensor]:
    for step in steps:
        for name, parameter in model.named_parameters():
            parameter.grad = step[name].to(dtype or parameter.dtype)
        optimizer.step()
    return {name: each.detach().clone() for name, each in model.named_parameters()}


def ours(steps: int = 20, **options: Any) -> dict[str, torch.Tensor]:
    model = Small()
    return run(model, make_optimizer(model, config(**options)), gradients(model, steps))


def theirs(make: Any, steps: int = 20, decay: float = 0.1) -> dict[str, torch.Tensor]:
    """Another optimizer in fp64, given matrices with weight decay and biases without."""
    model = Small().double()
    groups = [
        {"params": [each for each in model.parameters() if each.dim() > 1], "weight_decay": decay},
        {"params": [model.bias], "weight_decay": 0.0},
    ]
    return run(model, make(groups), gradients(Small(), steps))


def same(
    one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], tolerance: float = 2e-5
) -> None:
    for name, value in one.items():
        torch.testing.assert_close(
            value.double(), other[name].double(), rtol=tolerance, atol=tolerance / 10, msg=name
        )


@pytest.mark.honours("training.optimizer", "training.amsgrad")
@pytest.mark.parametrize("amsgrad", [False, True])
@pytest.mark.parametrize("name", ["adamw", "adam"])
def test_adam(name: str, *, amsgrad: bool) -> None:
    kind = torch.optim.AdamW if name == "adamw" else torch.optim.Adam
    found = ours(optimizer=name, amsgrad=amsgrad)
    same(
        found,
        theirs(lambda groups: kind(groups, lr=0.01, betas=(0.9, 0.95), amsgrad=amsgrad)),
    )
    assert not torch.equal(found["matrix"], ours(optimizer=name, amsgrad=not amsgrad)["matrix"])


@pytest.mark.honours("training.momentum", "training.nesterov")
@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.9, True)])
def test_sgd(momentum: float, *, nesterov: bool) -> None:
    found = ours(optimizer="sgd", momentum=momentum, nesterov=nesterov)
    same(
        found,
        theirs(
            lambda groups: torch.optim.SGD(groups, lr=0.01, momentum=momentum, nesterov=nesterov)
        ),
    )
    assert torch.equal(found["matrix"], ours(optimizer="sgd")["matrix"]) is (momentum == 0)


def test_nesterov_needs_a_momentum() -> None:
    with pytest.raises(ConfigError, match="there is none"):
        ours(optimizer="sgd", nesterov=True)


def test_adagrad() -> None:
    same(
        ours(optimizer="adagrad"),
        theirs(lambda groups: torch.optim.Adagrad(groups, lr=0.01, eps=1e-8)),
    )


def test_adafactor_is_that_of_transformers_with_a_given_rate() -> None:
    from transformers.optimization import Adafactor

    def make(groups: Any) -> Any:
        return Adafactor(groups, lr=0.01, scale_parameter=False, relative_step=False)

    same(ours(optimizer="adafactor"), theirs(make), 1e-4)


def test_adafactor_keeps_next_to_nothing() -> None:
    model = Small()
    optimizer = make_optimizer(model, config(optimizer="adafactor"))
    run(model, optimizer, gradients(model, 1))
    kept = {name: tuple(each.shape) for name, each in optimizer.state[model.stack].items()}
    assert kept == {"step": (), "rows": (3, 8), "columns": (3, 10)}


def test_lion_by_hand() -> None:
    model = Small().double()
    momentum = {name: torch.zeros_like(each) for name, each in model.named_parameters()}
    weights = {name: each.detach().clone() for name, each in model.named_parameters()}
    for step in gradients(Small(), 20):
        for name, gradient in step.items():
            decay = 0.0 if name == "bias" else 0.1
            sign = (0.9 * momentum[name] + 0.1 * gradient.double()).sign()
            weights[name] -= 0.01 * (sign + decay * weights[name])
            momentum[name] = 0.95 * momentum[name] + 0.05 * gradient.double()
    same(ours(optimizer="lion"), weights)


def test_lamb_by_hand() -> None:
    weights = {name: each.detach().double() for name, each in Small().named_parameters()}
    mean = {name: torch.zeros_like(each) for name, each in weights.items()}
    square = {name: torch.zeros_like(each) for name, each in weights.items()}
    for number, step in enumerate(gradients(Small(), 20), start=1):
        for name, gradient in step.items():
            mean[name] = 0.9 * mean[name] + 0.1 * gradient.double()
            square[name] = 0.95 * square[name] + 0.05 * gradient.double() ** 2
            update = mean[name] / (1 - 0.9**number)
            update = update / ((square[name] / (1 - 0.95**number)).sqrt() + 1e-8)
            ratio = 1.0
            if name != "bias":
                update = update + 0.1 * weights[name]
                ratio = float(weights[name].norm() / update.norm())
            weights[name] = weights[name] - 0.01 * ratio * update
    same(ours(optimizer="lamb"), weights)


def test_lamb_moves_a_matrix_of_zeros() -> None:
    model = Small()
    with torch.no_grad():
        model.matrix.zero_()
    found = run(model, make_optimizer(model, config(optimizer="lamb")), gradients(model, 1))
    assert found["matrix"].abs().min() > 0


@pytest.mark.parametrize("nesterov", [False, True])
def test_muon_is_torchs_for_hidden_matrices_and_adamw_for_others(*, nesterov: bool) -> None:
    found = ours(steps=3, optimizer="muon", nesterov=nesterov)
    model = Small()
    alone = nn.ParameterList([model.matrix, *(nn.Parameter(each.detach()) for each in model.stack)])
    muon = torch.optim.Muon(
        alone.parameters(), lr=0.01, weight_decay=0.1, momentum=0.9, nesterov=nesterov,
        adjust_lr_fn="match_rms_adamw",
    )  # fmt: skip
    for step in gradients(Small(), 3):
        for parameter, gradient in zip(alone, [step["matrix"], *step["stack"]], strict=True):
            parameter.grad = gradient
        muon.step()
    # bf16 iterations: a product more or less at once is another rounding.
    torch.testing.assert_close(found["matrix"], alone[0].detach(), rtol=0, atol=2e-3)
    stacked = torch.stack([each.detach() for each in alone[1:]])
    torch.testing.assert_close(found["stack"], stacked, rtol=0, atol=2e-3)
    adamw = ours(steps=3)
    assert torch.allclose(found["embedding"], adamw["embedding"], atol=1e-6)
    assert torch.allclose(found["bias"], adamw["bias"], atol=1e-6)
    assert not torch.allclose(found["matrix"], adamw["matrix"], atol=1e-3)


@pytest.mark.parametrize("shape", [(6, 40), (40, 6), (3, 16, 16)])
def test_orthogonal_has_singular_values_near_one(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    sizes = torch.linalg.svdvals(orthogonal(x).float())
    assert sizes.min() > 0.3
    assert sizes.max() < 1.4


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("shape", [(5, 700), (3, 4, 256), (2, 40)])
def test_8_bits_hold_a_moment(shape: tuple[int, ...], *, signed: bool) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)) ** 3
    x = x if signed else x.abs()
    x[0, ..., :7] = 0.0
    codes, scale = pack(x, signed=signed)
    back = unpack(codes, scale, signed=signed)
    assert codes.dtype == torch.uint8
    assert codes.shape == x.shape == back.shape
    assert scale.shape == (*shape[:-1], math.ceil(shape[-1] / 256))
    assert torch.equal(back == 0, x == 0) or signed
    largest = x == x.abs().amax(dim=-1, keepdim=True)
    assert torch.equal(back[largest], x[largest]), "the largest of a block is exact, if positive"
    # The widest step between two values is 0.9 / 64 (signed) of the block's largest number.
    step = 0.9 / (64 if signed else 128)
    assert ((back - x).abs() <= step * x.abs().amax(dim=-1, keepdim=True)).all()
    assert (back - x).norm() < 0.02 * x.norm()


def test_8_bits_learn_like_32() -> None:
    class Wide(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.matrix = nn.Parameter(
                torch.randn(64, 300, generator=torch.Generator().manual_seed(1))
            )
            self.bias = nn.Parameter(torch.zeros(64))

    first, last, memory = {}, {}, {}
    for name in ("adamw", "adamw_8bit"):
        model, generator = Wide(), torch.Generator().manual_seed(3)
        truth = torch.randn(64, 300, generator=generator)
        optimizer = make_optimizer(
            model, config(optimizer=name, weight_decay=0.0, learning_rate=0.05)
        )
        for step in range(200):
            x = torch.randn(32, 300, generator=generator)
            loss = (x @ (model.matrix - truth).T + model.bias).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            (first if step == 0 else last)[name] = loss.item()
        memory[name] = sum(each.nbytes for each in optimizer.state[model.matrix].values())
        assert set(optimizer.state[model.bias]) == {"step", "exp_avg", "exp_avg_sq"}
    assert last["adamw"] < first["adamw"] / 50
    assert last["adamw_8bit"] == pytest.approx(last["adamw"], rel=0.2)
    assert memory["adamw_8bit"] < 0.27 * memory["adamw"]


def test_a_gradient_that_vanishes_does_not_blow_up_8_bits() -> None:
    model = Small()
    model.matrix = nn.Parameter(torch.zeros(32, 256))
    optimizer = make_optimizer(model, config(optimizer="adamw_8bit", weight_decay=0.0))
    gradient = torch.full((32, 256), 1e-6)
    gradient[:, 0] = 1.0
    for step in range(60):
        before = model.matrix.detach().clone()
        model.matrix.grad = gradient if step < 20 else torch.zeros_like(gradient)
        optimizer.step()
        assert (model.matrix - before).abs().max() < 0.05


@pytest.mark.honours("training.weight_decay")
def test_weight_decay_is_for_matrices() -> None:
    config = ModelConfig(
        hidden_size=16, num_layers=1, num_attention_heads=2, intermediate_size=32,
        attention_bias=True, mlp_bias=True, norm_type="layernorm", num_experts=2,
    )  # fmt: skip
    model = Decoder(config)
    decayed, spared = make_optimizer(model, TrainingConfig(weight_decay=0.3)).param_groups
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.3, 0.0)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    spared_names = [names[id(each)] for each in spared["params"]]
    assert all("norm" in name or "bias" in name for name in spared_names)
    assert len(spared["params"]) + len(decayed["params"]) == len(names)
    assert not [names[id(each)] for each in decayed["params"] if "norm" in names[id(each)]]
    # One bias per expert is a matrix to torch, but a bias to us.
    assert not [names[id(each)] for each in decayed["params"] if "bias" in names[id(each)]]


@pytest.mark.honours("training.no_decay_patterns")
def test_patterns_spare_what_they_name_and_nothing_else() -> None:
    plain, patterns = ours(steps=1), ours(steps=1, no_decay_patterns=["MATR"])
    moved = {name for name, value in plain.items() if not torch.equal(value, patterns[name])}
    assert moved == {"matrix", "bias"}, "the matrix is spared, and the bias no longer"


@pytest.mark.honours("training.beta1", "training.beta2", "training.eps", "training.learning_rate")
@pytest.mark.parametrize("option", ["beta1", "beta2", "eps", "learning_rate"])
@pytest.mark.parametrize(
    "name", ["adamw", "adam", "sgd", "adagrad", "adafactor", "lamb", "lion", "muon", "adamw_8bit"]
)
def test_every_number_counts(name: str, option: str) -> None:
    ignored = {
        "sgd": {"beta1", "beta2", "eps"},
        "adagrad": {"beta1", "beta2"},
        "adafactor": {"beta1", "beta2", "eps"},
        "lion": {"eps"},
    }
    base = ours(steps=4, optimizer=name)
    other = ours(steps=4, optimizer=name, **{option: 0.05})
    alike = all(torch.equal(value, other[key]) for key, value in base.items())
    assert alike is (option in ignored.get(name, set()))


def test_frozen_parameters_are_left_out() -> None:
    model = Small()
    model.matrix.requires_grad_(requires_grad=False)
    optimizer = make_optimizer(model, config())
    assert all(each is not model.matrix for g in optimizer.param_groups for each in g["params"])


def test_updates_repeat_bit_for_bit() -> None:
    for name in ("adamw", "sgd", "adafactor", "lion", "muon", "adamw_8bit"):
        first, second = ours(optimizer=name), ours(optimizer=name)
        assert all(torch.equal(value, second[key]) for key, value in first.items())


@pytest.mark.parametrize("name", ["adafactor", "lamb", "muon", "adamw_8bit"])
def test_deepspeed_cannot_have_what_needs_shapes(name: str) -> None:
    with pytest.raises(ConfigError, match="under DeepSpeed"):
        make_optimizer(Small(), config(optimizer=name), strategy="deepspeed")


def test_deepspeed_clips_by_the_norm_only() -> None:
    with pytest.raises(ConfigError, match="clip_grad_value cannot"):
        make_optimizer(Small(), config(clip_grad_value=0.1), strategy="deepspeed")
