"""How long the run trains: the plan's words for it as a number of steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.errors import ConfigError
from workbench.estimate.batch import Batch
from workbench.estimate.budget import Budget, budget_of

if TYPE_CHECKING:
    from workbench.config.schema import Config
    from workbench.runs.directory import RunDir


def settle_length(
    run: RunDir,
    config: Config,
    *,
    devices: int,
    parameters: int,
    sequences_per_epoch: int | None,
) -> tuple[Config, Budget]:
    """The config with ``training.max_steps`` as it comes out, and where that comes from.

    Args:
        run: Knows whether anybody has set ``max_steps``.
        config: The run's config.
        devices: Data-parallel degree.
        parameters: Of the model.
        sequences_per_epoch: Of the text; None for a stream.

    Raises:
        ConfigError: It is given in epochs of a stream.
    """
    batch = Batch.of(config, devices)
    budget = budget_of(
        config.training,
        max_steps_given="training.max_steps" in run.origins(),
        sequences_per_step=batch.sequences,
        tokens_per_step=batch.tokens,
        parameters=parameters,
        sequences_per_epoch=sequences_per_epoch,
    )
    if budget.steps is None:
        raise ConfigError(
            f"the training is {budget.because}",
            where="training.num_epochs",
            why="a stream is read as it comes, and nobody knows where it ends",
            fix="say it in steps or tokens: --training.max_steps N, or "
            "--training.total_training_tokens N",
        )
    training = config.training.model_copy(update={"max_steps": budget.steps})
    return config.model_copy(update={"training": training}), budget
