"""How many optimizer steps a training has, whichever way its length is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.config.schema import TrainingConfig


@dataclass(frozen=True, slots=True)
class Budget:
    """The length of a training.

    Attributes:
        steps: Optimizer steps; None while it depends on text that has not been counted.
        because: Where the number comes from, as an equation.
    """

    steps: int | None
    because: str


def budget_of(
    training: TrainingConfig,
    *,
    max_steps_given: bool,
    sequences_per_step: int,
    tokens_per_step: int,
    parameters: int,
    sequences_per_epoch: int | None = None,
) -> Budget:
    """The steps of a training.

    ``max_steps`` decides where a layer gives it; else the first that is given of ``num_epochs``,
    ``total_training_tokens`` and ``tokens_per_parameter_ratio``; else the default of ``max_steps``.
    A step that would be a part of one counts whole.

    Args:
        training: The section.
        max_steps_given: Whether any layer sets ``training.max_steps``.
        sequences_per_step: Sequences of one optimizer step, over all devices.
        tokens_per_step: Their tokens.
        parameters: Of the model.
        sequences_per_epoch: Sequences of one pass over the text; None: not counted, or endless.
    """
    if max_steps_given:
        return Budget(training.max_steps, f"max_steps {training.max_steps:,}")
    if training.num_epochs is not None:
        if sequences_per_epoch is None:
            return Budget(None, f"{training.num_epochs:,} epochs of a text that is not counted")
        sequences = training.num_epochs * sequences_per_epoch
        return _rounded_up(
            sequences,
            sequences_per_step,
            f"{_many(training.num_epochs, 'epoch')} × {sequences_per_epoch:,} sequences ÷ "
            f"{sequences_per_step:,} per step",
        )
    if training.total_training_tokens is not None:
        tokens = training.total_training_tokens
        return _rounded_up(tokens, tokens_per_step, f"{tokens:,} tokens ÷ {tokens_per_step:,}")
    if training.tokens_per_parameter_ratio is not None:
        ratio = training.tokens_per_parameter_ratio
        tokens = round(ratio * parameters)
        return _rounded_up(
            tokens,
            tokens_per_step,
            f"{ratio:g} tokens × {parameters:,} parameters ÷ {tokens_per_step:,} tokens per step",
        )
    return Budget(training.max_steps, f"max_steps {training.max_steps:,}")


def _rounded_up(amount: int, per_step: int, equation: str) -> Budget:
    steps = max(1, -(-amount // per_step))
    return Budget(steps, f"{equation} = {_many(steps, 'step')}")


def _many(count: int, word: str) -> str:
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"
