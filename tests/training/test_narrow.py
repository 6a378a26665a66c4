"""Weights in 16 bits: split ones are fp32 ones, others lose little, plain ones would lose all."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from torch import nn

from workbench.config.schema import TrainingConfig
from workbench.errors import ConfigError
from workbench.models.linear import Linear
from workbench.training.optim import make_optimizer
from workbench.training.optim.narrow import FORMATS, Draw, NarrowWeights, Rounding

STEPS = 250


class Tiny(nn.Module):
    """Two matrices that are cast, a router that is not, and a norm."""

    compute_dtype = torch.bfloat16

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.one = Linear(24, 17, bias=True)
        self.two = Linear(17, 9)
        self.router = nn.Parameter(torch.empty(4, 9))
        self.norm = nn.Parameter(torch.empty(17))
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.normal_(generator=generator)


def config(**options: Any) -> TrainingConfig:
    return TrainingConfig(**{"learning_rate": 1e-3, "weight_decay": 0.1, **options})


@functools.cache
def gradients(steps: int = STEPS) -> list[dict[str, torch.Tensor]]:
    """Numbers that bf16 holds exactly, so that both weights get the same."""
    generator = torch.Generator().manual_seed(2)
    return [
        {
            name: torch.randn(each.shape, generator=generator).bfloat16().float()
            for name, each in Tiny().named_parameters()
        }
        for _ in range(steps)
    ]


def train(
    model: Tiny, optimizer: torch.optim.Optimizer, steps: list[dict[str, torch.Tensor]]
) -> None:
    for step in steps:
        for name, parameter in model.named_parameters():
            parameter.grad = step[name].to(parameter.dtype)
        optimizer.step()


def wide(model: Tiny, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """The fp32 weights that 16-bit ones and what is beside them stand for."""
    assert isinstance(optimizer, NarrowWeights)
    return {
        name: optimizer._format.widen(each.detach(), optimizer.state[each].get("rest"))
        if each.dtype == torch.bfloat16
        else each.detach()
        for name, each in model.named_parameters()
    }


@functools.cache
def exact(name: str = "adamw") -> dict[str, torch.Tensor]:
    """The fp32 training."""
    model = Tiny()
    model.compute_dtype = torch.float32
    train(model, make_optimizer(model, config(optimizer=name)), gradients())
    return {key: each.detach() for key, each in model.named_parameters()}


@pytest.mark.honours("training.split_weights")
@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "adagrad", "lion", "adafactor", "lamb"])
def test_split_is_fp32_bit_for_bit(name: str) -> None:
    model = Tiny()
    optimizer = make_optimizer(model, config(optimizer=name, split_weights=True))
    assert model.one.weight.dtype == model.two.weight.dtype == torch.bfloat16
    assert model.one.bias is not None
    assert model.one.bias.dtype == model.router.dtype == model.norm.dtype == torch.float32
    train(model, optimizer, gradients())
    for key, value in wide(model, optimizer).items():
        assert torch.equal(value, exact(name)[key]), key
    rest = optimizer.state[model.one.weight]["rest"]
    assert (model.one.weight.element_size(), rest.element_size()) == (2, 2)


def test_the_split_weight_is_the_nearest() -> None:
    bits = torch.randint(-(2**31), 2**31, (100_000,), generator=torch.Generator().manual_seed(0))
    numbers = bits.to(torch.int32).view(torch.float32)
    special = torch.tensor([0.0, -0.0, 1.0, 3.4028235e38, torch.inf, -torch.inf, torch.nan, 1e-45])
    everything = torch.cat([numbers, special])
    weight, rest = FORMATS["split"].narrow(everything, Draw(0, 0, 0))
    assert weight.dtype == torch.bfloat16
    assert rest is not None
    back = FORMATS["split"].widen(weight, rest)
    assert torch.equal(back.view(torch.int32), everything.view(torch.int32))
    usual = numbers.isfinite() & (numbers.abs() < 1e38) & ((bits & 0xFFFF) != 0x8000)
    assert torch.equal(weight[: len(numbers)][usual], numbers.bfloat16()[usual])


@pytest.mark.honours("training.kahan_summation", "training.stochastic_rounding")
def test_what_rounding_costs() -> None:
    """Reference: kernels_features.md 4.13, of the mean distance that fp32 weights move."""
    start = {name: each.detach().clone() for name, each in Tiny().named_parameters()}
    lost: dict[str, float] = {}
    slow = {"learning_rate": 1e-5, "weight_decay": 0.0}
    steadily = [{name: each.abs() for name, each in step.items()} for step in gradients()]
    model = Tiny()
    model.compute_dtype = torch.float32
    train(model, make_optimizer(model, config(**slow)), steadily)
    aim = {key: each.detach() for key, each in model.named_parameters()}
    moved = (aim["one.weight"] - start["one.weight"]).abs().mean()

    for key in ("split_weights", "kahan_summation", "stochastic_rounding"):
        model = Tiny()
        optimizer = make_optimizer(model, config(**slow, **{key: True}))
        train(model, optimizer, steadily)
        error = wide(model, optimizer)["one.weight"] - aim["one.weight"]
        lost[key] = float(error.abs().mean() / moved)
        if key == "stochastic_rounding":
            # Each weight is rounded by lot, so a single one is far off, but their mean is not.
            assert error.mean().abs() < 0.2 * error.abs().mean()
            assert (model.one.weight.float() != start["one.weight"].bfloat16()).any()
    plain = start["one.weight"].bfloat16()
    for step in range(3):
        plain = plain - (1e-5 * torch.ones_like(plain)).bfloat16()
        assert (plain != start["one.weight"].bfloat16()).float().mean() < 0.05, step
    assert lost["split_weights"] == 0.0
    assert 0.0 < lost["kahan_summation"] < 0.15


def test_stochastic_rounding_is_right_on_average() -> None:
    x = torch.full((20_000,), 1 + 1 / 512)  # a quarter of the way from 1 to its neighbour
    weight, _ = FORMATS["stochastic"].narrow(x, Draw(0, 1, 1))
    assert set(weight.tolist()) == {1.0, 1 + 1 / 128}
    assert weight.float().mean() == pytest.approx(1 + 1 / 512, abs=1e-4)
    again, _ = FORMATS["stochastic"].narrow(x, Draw(0, 1, 1))
    other, _ = FORMATS["stochastic"].narrow(x, Draw(0, 2, 1))
    assert torch.equal(weight, again)
    assert not torch.equal(weight, other)
    on_the_grid = torch.tensor([0.0, 1.0, -2.5, torch.inf])
    assert torch.equal(
        FORMATS["stochastic"].narrow(on_the_grid, Draw(0, 3, 1))[0].float(), on_the_grid
    )


@pytest.mark.parametrize("rounding", ["split", "kahan", "stochastic"])
@pytest.mark.parametrize("name", ["adamw", "sgd", "adagrad"])
def test_its_state_resumes(rounding: Rounding, name: str) -> None:
    key = {"split": "split_weights", "kahan": "kahan_summation"}.get(
        rounding, "stochastic_rounding"
    )
    options = {"optimizer": name, key: True, "momentum": 0.9}
    steps = gradients()[:20]
    whole, first, second = Tiny(), Tiny(), Tiny()
    one = make_optimizer(whole, config(**options), seed=7)
    train(whole, one, steps)
    before = make_optimizer(first, config(**options), seed=7)
    train(first, before, steps[:9])
    after = make_optimizer(second, config(**options), seed=7)
    for old, new in zip(first.parameters(), second.parameters(), strict=True):
        with torch.no_grad():
            new.copy_(old)
        after.state[new] = {what: value.clone() for what, value in before.state[old].items()}
        assert all(torch.is_tensor(value) for value in after.state[new].values())
    train(second, after, steps[9:])
    for a, b in zip(whole.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)
        assert all(torch.equal(v, after.state[b][k]) for k, v in one.state[a].items())


def test_gradients_are_scaled_in_fp32() -> None:
    found = []
    for compute in (torch.bfloat16, torch.float32):
        model = Tiny()
        model.compute_dtype = compute
        optimizer = make_optimizer(model, config(optimizer="sgd", split_weights=True))
        for name, parameter in model.named_parameters():
            gradient = gradients()[0][name]
            scaled = gradient if compute == torch.bfloat16 else gradient * torch.tensor(0.3)
            parameter.grad = scaled.to(parameter.dtype)
        if isinstance(optimizer, NarrowWeights):
            optimizer.gradient_scale = torch.tensor(0.3)
        optimizer.step()
        narrow = isinstance(optimizer, NarrowWeights)
        found.append(wide(model, optimizer) if narrow else dict(model.named_parameters()))
    assert all(torch.equal(value, found[1][key]) for key, value in found[0].items())


def test_without_16_bit_products_there_is_nothing_to_narrow() -> None:
    model = Tiny()
    model.compute_dtype = torch.float32
    assert isinstance(make_optimizer(model, config(split_weights=True)), torch.optim.AdamW)


@pytest.mark.parametrize("strategy", ["fsdp", "deepspeed"])
@pytest.mark.parametrize("key", ["split_weights", "kahan_summation", "stochastic_rounding"])
def test_shards_are_fp32(strategy: str, key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        make_optimizer(Tiny(), config(**{key: True}), strategy=strategy)
