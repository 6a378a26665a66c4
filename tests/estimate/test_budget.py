"""The length of a training, however it is given."""

from __future__ import annotations

from typing import Any

import pytest

from workbench.config.schema import TrainingConfig
from workbench.estimate.budget import budget_of


def steps(given: bool = False, epoch: int | None = 1000, **options: Any) -> int | None:  # noqa: FBT001, FBT002
    return budget_of(
        TrainingConfig(**options),
        max_steps_given=given,
        sequences_per_step=32,
        tokens_per_step=32 * 128,
        parameters=1_000_000,
        sequences_per_epoch=epoch,
    ).steps


def test_max_steps_decides() -> None:
    assert steps() == 1000
    assert steps(max_steps=7) == 7
    assert steps(given=True, max_steps=7, num_epochs=3) == 7


def test_epochs() -> None:
    assert steps(num_epochs=1) == 32, "1000 / 32 is 31.25, and the rest is trained on too"
    assert steps(num_epochs=3) == 94
    assert steps(num_epochs=3, epoch=10) == 1
    assert steps(num_epochs=3, epoch=None) is None
    assert steps(num_epochs=3, total_training_tokens=5) == 94, "the first one given decides"


def test_tokens() -> None:
    assert steps(total_training_tokens=4096) == 1
    assert steps(total_training_tokens=4097) == 2
    assert steps(total_training_tokens=5, epoch=None) == 1


def test_tokens_per_parameter() -> None:
    assert steps(tokens_per_parameter_ratio=20.0) == 4883
    assert steps(tokens_per_parameter_ratio=0.004096) == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_epochs": 2}, "2 epochs × 1,000 sequences ÷ 32 per step = 63 steps"),
        ({"total_training_tokens": 9000}, "9,000 tokens ÷ 4,096 = 3 steps"),
        ({"tokens_per_parameter_ratio": 1.5}, "1.5 tokens × 1,000,000 parameters"),
        ({"max_steps": 5}, "max_steps 5"),
    ],
    ids=str,
)
def test_it_says_why(options: dict[str, Any], words: str) -> None:
    budget = budget_of(
        TrainingConfig(**options),
        max_steps_given=False,
        sequences_per_step=32,
        tokens_per_step=4096,
        parameters=1_000_000,
        sequences_per_epoch=1000,
    )
    assert words in budget.because
