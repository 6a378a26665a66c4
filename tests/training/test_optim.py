"""The learning rate is a function of the step; weight decay is for matrices."""

from __future__ import annotations

import math

import pytest
import torch

from workbench.config.schema import ModelConfig, TrainingConfig
from workbench.models.decoder import Decoder
from workbench.training.optim import learning_rate, make_optimizer


def rates(**options: object) -> list[float]:
    config = TrainingConfig(max_steps=10, learning_rate=1.0, **options)  # type: ignore[arg-type]
    return [learning_rate(config, step) for step in range(11)]


def test_warm_up_is_a_line_from_zero() -> None:
    assert rates(warmup_steps=4, lr_scheduler_type="constant") == pytest.approx(
        [0, 0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1, 1]
    )


def test_linear_reaches_the_end() -> None:
    assert rates(warmup_steps=2, lr_scheduler_type="linear", lr_end=0.2) == pytest.approx(
        [0, 0.5, *(1 - 0.1 * n for n in range(9))]
    )


def test_cosine() -> None:
    found = rates(warmup_steps=0, lr_end=0.1)
    assert found == pytest.approx(
        [0.1 + 0.45 * (1 + math.cos(math.pi * n / 10)) for n in range(11)]
    )
    assert found[10] == pytest.approx(0.1)


def test_a_warm_up_longer_than_the_run() -> None:
    assert rates(warmup_steps=20)[10] == 0.5
    assert rates(warmup_steps=10)[10] == 1.0


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


def test_updates_repeat_bit_for_bit() -> None:
    results = []
    for _ in range(2):
        generator = torch.Generator().manual_seed(0)
        layer = torch.nn.Linear(70, 50)
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.normal_(generator=generator)
        optimizer = make_optimizer(layer, TrainingConfig())
        for _ in range(5):
            for parameter in layer.parameters():
                parameter.grad = torch.randn(parameter.shape, generator=generator)
            optimizer.step()
        results.append([each.detach().clone() for each in layer.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))
