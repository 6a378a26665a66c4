"""The learning rate follows the loss by rules that can be counted out by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest

from workbench.config.schema import TrainingConfig
from workbench.training.adaptive_lr import AdaptiveLr

LOOK = 10


def adaptive(**options: Any) -> AdaptiveLr:
    short = {
        "check_interval": LOOK,
        "loss_window": LOOK,
        "plateau_patience": 30,
        "stability_threshold": 3,
        "divergence_threshold": 3,
        "warmup_percentage": 0.0,
    }
    return AdaptiveLr(
        TrainingConfig(
            max_steps=1000, learning_rate=1.0, adaptive_lr={"enabled": True, **short, **options}
        )
    )


def rates(watch: AdaptiveLr, losses: list[float], scheduled: float = 1.0) -> list[float]:
    """The rate after each look, given the mean loss between two looks."""
    found = []
    for look, loss in enumerate(losses):
        for step in range(look * LOOK + 1, look * LOOK + LOOK + 1):
            watch.seen(step, loss, scheduled)
        found.append(watch.rate(scheduled))
    return found


@pytest.mark.honours(
    "training.adaptive_lr.enabled",
    "training.adaptive_lr.plateau_patience",
    "training.adaptive_lr.plateau_factor",
    "training.adaptive_lr.check_interval",
    "training.adaptive_lr.loss_window",
)
def test_a_plateau() -> None:
    # The first comparison is at the second look; 30 steps of plateau are three looks.
    assert rates(adaptive(), [2.0] * 8) == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25]
    assert rates(adaptive(plateau_factor=0.1), [2.0] * 4)[-1] == pytest.approx(0.1)
    assert rates(adaptive(plateau_patience=60), [2.0] * 5)[-1] == 1
    assert rates(adaptive(check_interval=20), [2.0] * 5) == [1, 1, 1, 0.5, 0.5]
    assert rates(adaptive(loss_window=20), [2.0] * 6) == [1, 1, 1, 1, 1, 0.5]
    assert rates(adaptive(enabled=False), [2.0] * 8) == [1] * 8


@pytest.mark.honours("training.adaptive_lr.min_improvement")
def test_a_small_fall_is_a_plateau() -> None:
    slowly = [2.0 * 0.99**look for look in range(5)]
    assert rates(adaptive(min_improvement=0.02), slowly)[-1] == 0.5
    assert rates(adaptive(min_improvement=0.005), slowly)[-1] == 1.0


@pytest.mark.honours(
    "training.adaptive_lr.divergence_threshold", "training.adaptive_lr.emergency_factor"
)
def test_divergence() -> None:
    rising = [2.0, 2.1, 2.2, 2.3, 2.4]
    patient = {"plateau_patience": 1000}
    assert rates(adaptive(**patient), rising) == [1, 1, 1, 0.5, 0.5]
    assert rates(adaptive(**patient, emergency_factor=0.2), rising)[-1] == pytest.approx(0.2)
    assert rates(adaptive(**patient, divergence_threshold=5), rising)[-1] == 1
    up_and_down = [2.0, 2.1, 2.2, 2.0, 2.1, 2.2]
    assert rates(adaptive(**patient), up_and_down)[-1] == 1


@pytest.mark.honours(
    "training.adaptive_lr.increase_factor",
    "training.adaptive_lr.stability_threshold",
    "training.adaptive_lr.max_lr",
)
def test_a_steady_fall() -> None:
    falling = [2.0 * 0.9**look for look in range(8)]
    raised = rates(adaptive(max_lr=5.0), falling, 0.5)
    assert raised == pytest.approx([0.5, 0.5, 0.5, 0.55, 0.55, 0.55, 0.605, 0.605])
    assert rates(adaptive(max_lr=5.0, increase_factor=2.0), falling, 0.5)[3] == 1.0
    assert rates(adaptive(max_lr=5.0, stability_threshold=6), falling, 0.5)[5] == 0.5
    assert rates(adaptive(max_lr=0.56), falling, 0.5)[-1] == 0.56
    assert rates(adaptive(), falling, 1.0)[-1] == 1.0, "null means learning_rate"


@pytest.mark.honours("training.adaptive_lr.min_lr")
def test_limits_hold_and_nothing_is_saved_up() -> None:
    watch = adaptive(min_lr=0.4, max_lr=5.0)
    assert rates(watch, [2.0] * 20)[-1] == 0.4
    assert watch.factor == pytest.approx(0.4)
    assert watch.rate(0.1) == 0.1, "the schedule itself may end below"


@pytest.mark.honours("training.adaptive_lr.warmup_percentage")
def test_nothing_is_adjusted_at_the_start() -> None:
    late = rates(adaptive(warmup_percentage=0.05), [2.0] * 12)
    assert late[:7] == [1] * 7, "steps 1 to 50 are not looked at"
    assert late[7] == 0.5


def test_it_resumes() -> None:
    losses = [2.0, 2.0, 1.9, 1.95, 1.95, 1.95, 1.95, 1.0, 0.9, 0.8, 0.7, 0.6]
    whole = adaptive(max_lr=3.0)
    expected = rates(whole, losses)
    first, second = adaptive(max_lr=3.0), adaptive(max_lr=3.0)
    found = []
    for step in range(1, len(losses) * LOOK + 1):
        if step == 47:
            second.load_state(json.loads(json.dumps(first.state())))
        watch = first if step < 47 else second
        watch.seen(step, losses[(step - 1) // LOOK], 1.0)
        if step % LOOK == 0:
            found.append(watch.rate(1.0))
    assert found == expected
    assert len(set(expected)) > 1
