"""The step whose loss or gradient is not a finite number: what was in it, and what to do."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from workbench.errors import TrainingError
from workbench.runs.files import atomic_write_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.data.batches import MicroBatch
    from workbench.training.session import Session
    from workbench.training.step import Measured

FILE = "bad_batch.json"
_NAMED = 4


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
    rate = session.config.training.learning_rate
    return TrainingError(
        f"{what} at step {step:,}; training stopped before it reached the weights",
        where=f"run {session.run.name}, step {step:,}"
        + "".join(f"; {_name(each)}" for each in bad[:_NAMED])
        + (f"; {len(bad) - _NAMED} more" if len(bad) > _NAMED else "")
        + f"\nall its sequences are in {path}",
        why="numbers that grow beyond what the format can hold: most often the learning rate "
        f"({rate:g}) is too high, or rises too fast",
        fix=f"start again with a lower one, for example --training.learning_rate {rate / 3:.1g}, "
        "or with more --training.warmup_steps",
    )


def _name(micro: dict[str, Any]) -> str:
    ids = f" ({', '.join(micro['ids'])})" if micro["ids"] else ""
    return f"rank {micro['rank']}, micro-batch {micro['micro_batch']}{ids}"
