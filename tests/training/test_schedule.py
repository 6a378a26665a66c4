"""The learning rate as a function of the step: closed values, transformers' where they agree."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from workbench.config.schema import Config, TrainingConfig
from workbench.errors import ConfigError
from workbench.runs.directory import create_run
from workbench.training.length import settle_length
from workbench.training.schedule import learning_rate

STEPS = 40


def rates(steps: int = 10, **options: Any) -> list[float]:
    config = TrainingConfig(**{"max_steps": steps, "learning_rate": 1.0, **options})
    return [learning_rate(config, step) for step in range(steps + 1)]


@pytest.mark.honours("training.warmup_steps", "training.lr_scheduler_type")
def test_warm_up_is_a_line_from_zero() -> None:
    assert rates(warmup_steps=4, lr_scheduler_type="constant") == pytest.approx(
        [0, 0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1, 1]
    )


@pytest.mark.honours("training.warmup_schedule", "training.warmup_start_lr")
def test_other_warm_ups() -> None:
    start = {"warmup_steps": 4, "lr_scheduler_type": "constant", "warmup_start_lr": 0.2}
    wave = [0.5 * (1 - math.cos(math.pi * n / 4)) for n in range(5)]
    assert rates(**start, warmup_schedule="cosine")[:5] == pytest.approx(
        [0.2 + 0.8 * height for height in wave]
    )
    log = [math.log(1 + n) / math.log(5) for n in range(5)]
    assert rates(**start, warmup_schedule="log")[:5] == pytest.approx(
        [0.2 + 0.8 * height for height in log]
    )
    assert rates(**start)[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])


@pytest.mark.honours("training.warmup_ratio")
def test_warm_up_as_a_share() -> None:
    constant = {"lr_scheduler_type": "constant"}
    assert rates(**constant, warmup_ratio=0.35) == rates(**constant, warmup_steps=4)
    assert rates(**constant, warmup_ratio=0.35, warmup_steps=2) == rates(**constant, warmup_steps=2)


@pytest.mark.honours("training.lr_end", "training.max_steps")
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


@pytest.mark.honours("training.lr_end_ratio")
def test_the_end_as_a_share() -> None:
    assert rates(learning_rate=0.5, lr_end_ratio=0.2) == rates(learning_rate=0.5, lr_end=0.1)
    assert rates(lr_end_ratio=0.2, lr_end=0.1) == rates(lr_end=0.1)


@pytest.mark.honours("training.lr_hold_steps", "training.lr_decay_steps")
def test_hold_then_decay() -> None:
    found = rates(
        warmup_steps=2, lr_hold_steps=3, lr_decay_steps=9, lr_scheduler_type="linear", lr_end=0.2
    )
    assert found == pytest.approx([0, 0.5, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2, 0.2])


@pytest.mark.honours("training.num_cycles")
def test_restarts() -> None:
    found = rates(lr_scheduler_type="cosine_with_restarts", num_cycles=2, lr_end=0.1)
    half = [0.1 + 0.45 * (1 + math.cos(math.pi * n / 5)) for n in range(5)]
    assert found == pytest.approx([*half, *half, 0.1])


def test_inverse_square_root() -> None:
    found = rates(16, warmup_steps=4, lr_scheduler_type="inverse_sqrt", lr_end=0.55)
    assert found[4] == 1.0
    assert found[8] == pytest.approx(math.sqrt(0.5))
    assert found[16] == 0.55, "never below the end"


@pytest.mark.honours("training.lr_decay_power")
def test_polynomial() -> None:
    shape = {"lr_scheduler_type": "polynomial", "lr_end": 0.2}
    assert rates(**shape) == pytest.approx(rates(lr_scheduler_type="linear", lr_end=0.2))
    assert rates(**shape, lr_decay_power=2.0) == pytest.approx(
        [0.2 + 0.8 * (1 - n / 10) ** 2 for n in range(11)]
    )


def test_exponential() -> None:
    found = rates(lr_scheduler_type="exponential", lr_end=0.25)
    assert found == pytest.approx([0.25 ** (n / 10) for n in range(11)])
    assert rates(lr_scheduler_type="exponential")[10] == pytest.approx(1e-3)


def test_stable_then_decay() -> None:
    found = rates(20, warmup_steps=2, lr_scheduler_type="warmup_stable_decay")
    assert found[2:19] == [1.0] * 17
    assert found[19:] == pytest.approx([1 - math.sqrt(0.5), 0.0])
    found = rates(20, warmup_steps=2, lr_hold_steps=8, lr_scheduler_type="warmup_stable_decay")
    assert found[10:] == pytest.approx([1 - math.sqrt(n / 10) for n in range(11)])


def test_one_cycle() -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1.0, total_steps=41, pct_start=13 / 41
    )
    found = []
    for _ in range(41):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(found) < 41:
            theirs.step()
    assert rates(40, lr_scheduler_type="one_cycle")[0] == pytest.approx(1 / 25)
    assert rates(40, lr_scheduler_type="one_cycle")[12] == 1.0
    assert rates(40, lr_scheduler_type="one_cycle", warmup_steps=12) == pytest.approx(found)


def test_a_warm_up_longer_than_the_run() -> None:
    assert rates(warmup_steps=20)[10] == 0.5
    assert rates(warmup_steps=10)[10] == 1.0


@pytest.mark.parametrize(
    "kind", TrainingConfig.model_fields["lr_scheduler_type"].annotation.__args__
)
def test_every_schedule_ends_where_it_says_and_never_jumps(kind: str) -> None:
    found = rates(200, warmup_steps=20, lr_scheduler_type=kind, lr_end=0.1)
    flat = {"constant", "constant_with_warmup", "reduce_on_plateau", "inverse_sqrt"}
    assert kind in flat or found[-1] == pytest.approx(0.1)
    assert max(found) == 1.0
    steepest = 0.25 if kind == "warmup_stable_decay" else 0.08
    assert max(abs(a - b) for a, b in zip(found[1:], found[:-1], strict=True)) < steepest


@pytest.mark.parametrize(
    ("name", "ours", "arguments"),
    [
        ("get_constant_schedule_with_warmup", {"lr_scheduler_type": "constant"}, {}),
        (
            "get_linear_schedule_with_warmup",
            {"lr_scheduler_type": "linear"},
            {"num_training_steps": STEPS},
        ),
        ("get_cosine_schedule_with_warmup", {}, {"num_training_steps": STEPS}),
        (
            "get_cosine_with_hard_restarts_schedule_with_warmup",
            {"lr_scheduler_type": "cosine_with_restarts", "num_cycles": 3},
            {"num_training_steps": STEPS, "num_cycles": 3},
        ),
        ("get_inverse_sqrt_schedule", {"lr_scheduler_type": "inverse_sqrt"}, {}),
        (
            "get_polynomial_decay_schedule_with_warmup",
            {"lr_scheduler_type": "polynomial", "lr_decay_power": 2.0, "lr_end": 0.1},
            {"num_training_steps": STEPS, "power": 2.0, "lr_end": 0.1},
        ),
        (
            "get_wsd_schedule",
            {"lr_scheduler_type": "warmup_stable_decay", "lr_hold_steps": 20},
            {"num_stable_steps": 20, "num_decay_steps": 15, "decay_type": "1-sqrt"},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_those_of_transformers(name: str, ours: dict[str, Any], arguments: dict[str, Any]) -> None:
    import transformers.optimization

    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    schedule = getattr(transformers.optimization, name)(optimizer, num_warmup_steps=5, **arguments)
    theirs = []
    for _ in range(STEPS + 1):
        theirs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates(STEPS, warmup_steps=5, **ours) == pytest.approx(theirs, abs=1e-12)


def test_epochs_of_a_stream_are_refused(tmp_path: Path) -> None:
    run = create_run(tmp_path, "run", config={}, origins={}, config_yaml="", meta={})
    config = Config.model_validate({"training": {"num_epochs": 2}})
    with pytest.raises(ConfigError, match="a text that is not counted") as caught:
        settle_length(run, config, devices=1, parameters=10, sequences_per_epoch=None)
    assert "--training.max_steps" in str(caught.value.fix)


def test_a_layer_that_sets_max_steps_decides(tmp_path: Path) -> None:
    origin = {"training.max_steps": {}}
    run = create_run(tmp_path, "run", config={}, origins=origin, config_yaml="", meta={})
    config = Config.model_validate({"training": {"num_epochs": 2, "max_steps": 5}})
    settled, budget = settle_length(run, config, devices=1, parameters=10, sequences_per_epoch=100)
    assert settled.training.max_steps == budget.steps == 5
