"""The step whose loss or gradient is not a finite number: what was in it, and what to do."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from workbench.config.schema import TrainingConfig
from workbench.errors import TrainingError
from workbench.runs.files import atomic_write_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.data.batches import MicroBatch
    from workbench.training.session import Session
    from workbench.training.step import Measured

FILE = "bad_batch.json"
_NAMED = 4
_UNSCALED = ("sgd", "adagrad")
"""Optimizers whose steps grow with the gradient, or began by growing with it."""


def not_finite(
    session: Session, step: int, measured: Measured, micro_batches: Sequence[MicroBatch]
) -> TrainingError:
    """Write down the step in ``bad_batch.json`` and say why the training stopped.

    Called by all processes together.
    """
    world = session.engine.world
    mine = [
        {"rank": world.rank, "micro_batch": place, "loss_sum": loss.item(), "ids": list(micro.ids)}
        for place, (micro, loss) in enumerate(
            zip(micro_batches, measured.micro_losses, strict=True)
        )
    ]
    everybody: list[dict[str, Any]] = [each for rank in world.each(mine) for each in rank]
    bad = [each for each in everybody if not math.isfinite(each["loss_sum"])]
    path = session.run.path / FILE
    if world.leads:
        atomic_write_json(
            path,
            {
                "step": step,
                "loss": measured.loss,
                "gradient_norm": measured.gradient_norm,
                "micro_batches": everybody,
            },
        )
    what = (
        f"the loss became {measured.loss}"
        if not math.isfinite(measured.loss)
        else f"the gradient norm became {measured.gradient_norm}"
    )
    training = session.config.training
    rate = training.learning_rate
    return TrainingError(
        f"{what} at step {step:,}; training stopped before it reached the weights",
        where=f"run {session.run.name}, step {step:,}"
        + "".join(f"; {_name(each)}" for each in bad[:_NAMED])
        + (f"; {len(bad) - _NAMED} more" if len(bad) > _NAMED else "")
        + f"\nall its sequences are in {path}",
        why="numbers that grow beyond what the format can hold: most often the learning rate "
        f"({rate:g}) is too high, or rises too fast",
        fix="start again with a lower one, for example --training.learning_rate "
        f"{_calmer(rate, training.optimizer):.1g}, "
        "or with more --training.warmup_steps",
    )


def _calmer(rate: float, optimizer: str) -> float:
    """A learning rate to try instead: a third, or what is usual where this one is far from it.

    An optimizer that divides by the size of the gradient moves a weight by about the rate in each
    step, whatever the network: 3e-4 is a good first guess. For the others no rate is usual.
    """
    usual = TrainingConfig.model_fields["learning_rate"].default
    if optimizer in _UNSCALED:
        return rate / 3 if rate < 1 else rate / 30
    return float(rate / 3 if rate <= 100 * usual else usual)


def _name(micro: dict[str, Any]) -> str:
    ids = f" ({', '.join(micro['ids'])})" if micro["ids"] else ""
    return f"rank {micro['rank']}, micro-batch {micro['micro_batch']}{ids}"
