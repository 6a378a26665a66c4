"""The factor of the loss: fixed, or halved on overflow and doubled after a quiet window."""

from __future__ import annotations

import json
from typing import Any

import pytest

from workbench.config.schema.training.loss_scaling import LossScalingConfig
from workbench.training.loss_scale import LossScale


def scale(**options: Any) -> LossScale:
    short = {"initial_scale_power": 4, "window": 3, "hysteresis": 1}
    return LossScale(LossScalingConfig(**{**short, **options}), needed=True)


def factors(found: LossScale, story: str) -> list[float]:
    """The factor after each step of a story: x an overflow, a point none."""
    result = []
    for step in story:
        if step == "x":
            found.overflowed()
        else:
            found.went_well()
        result.append(found.factor)
    return result


@pytest.mark.honours(
    "training.loss_scaling.initial_scale_power",
    "training.loss_scaling.window",
)
def test_it_doubles_after_a_quiet_window_and_halves_on_overflow() -> None:
    assert factors(scale(), "...x..x......") == [
        16, 16, 32, 16, 16, 16, 8, 8, 8, 16, 16, 16, 32,
    ]  # fmt: skip
    assert scale(initial_scale_power=10).factor == 1024
    assert factors(scale(window=1), "..") == [32, 64]


@pytest.mark.honours(
    "training.loss_scaling.hysteresis", "training.loss_scaling.consecutive_hysteresis"
)
def test_overflows_are_forgiven() -> None:
    assert factors(scale(hysteresis=3, window=100), "xxxx") == [16, 16, 8, 4]
    assert factors(scale(hysteresis=2, window=100), "x.x.x") == [16, 16, 8, 8, 4]
    again = scale(hysteresis=2, window=100, consecutive_hysteresis=True)
    assert factors(again, "x.x.xx") == [16, 16, 16, 16, 16, 8]
    assert factors(scale(hysteresis=2), "x...x") == [16, 16, 16, 32, 32], "a window forgives"


@pytest.mark.honours("training.loss_scaling.min_scale")
def test_it_ends_at_the_smallest() -> None:
    found = scale(min_scale=4.0)
    assert [found.overflowed() for _ in range(4)] == [True, True, False, False]
    assert found.factor == 4.0
    assert scale(min_scale=100.0).factor == 100.0


@pytest.mark.honours("training.loss_scaling.scale")
def test_a_fixed_one_stays() -> None:
    found = scale(scale=128.0)
    assert factors(found, "....x") == [128.0] * 5
    assert not found.overflowed()


def test_other_formats_need_none() -> None:
    found = LossScale(LossScalingConfig(), needed=False)
    assert factors(found, "x" + "." * 2000) == [1.0] * 2001


def test_it_resumes() -> None:
    story = "..x...x..x.........x.x.x...."
    whole, first, second = (scale(hysteresis=2, window=4) for _ in range(3))
    expected = factors(whole, story)
    found = factors(first, story[:11])
    second.load_state(json.loads(json.dumps(first.state())))
    assert found + factors(second, story[11:]) == expected
