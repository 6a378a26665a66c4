"""What becomes of a step whose gradient is known: update, leave out, or stop the training."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.errors import TrainingError
from workbench.training.bad_batch import not_finite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.data.batches import MicroBatch
    from workbench.training.session import Session
    from workbench.training.step import Measured

_MOST_SKIPPED = 10
"""Steps in a row that may be left out: after so many nothing suggests that the next is better."""


class Judgement(NamedTuple):
    """What to do with a step."""

    update: bool
    events: list[dict[str, Any]]
    """What happened, each with a name."""
    error: TrainingError | None = None
    """Why the training cannot go on."""


def judge(
    session: Session, step: int, measured: Measured, micro_batches: Sequence[MicroBatch]
) -> Judgement:
    """Look at a step before its update. All processes come to the same result."""
    training, reactions = session.config.training, session.reactions
    if measured.finite:
        error = _beyond_limits(session, step, measured)
        if error is not None:
            return Judgement(update=False, events=[], error=error)
        events = reactions.updated(step, loss=measured.loss, norm=measured.gradient_norm)
        return Judgement(update=True, events=events)

    scale = reactions.loss_scale.factor
    if math.isfinite(measured.loss) and reactions.loss_scale.overflowed():
        event = {"event": "overflow", "scale": scale, "next_scale": reactions.loss_scale.factor}
        return Judgement(update=False, events=[event])

    reactions.skipped += 1
    if training.stability.stop_on_nan or reactions.skipped > _MOST_SKIPPED:
        error = not_finite(session, step, measured, micro_batches)
        return Judgement(update=False, events=[], error=error)
    event = {"event": "step_skipped", "loss": measured.loss, "norm": measured.gradient_norm}
    # An explosion, as far as the learning rate is concerned.
    return Judgement(update=False, events=[event, *reactions.health.seen(step, math.inf)])


def _beyond_limits(session: Session, step: int, measured: Measured) -> TrainingError | None:
    stability = session.config.training.stability
    for key, name, value, limit in (
        ("max_loss_before_stop", "loss", measured.loss, stability.max_loss_before_stop),
        (
            "max_grad_norm_before_stop",
            "gradient norm",
            measured.gradient_norm,
            stability.max_grad_norm_before_stop,
        ),
    ):
        if limit is not None and value > limit:
            return TrainingError(
                f"the {name} rose to {value:.4g} at step {step:,}, above the limit of {limit:g}; "
                "training stopped before it reached the weights",
                where=f"run {session.run.name}, step {step:,}",
                why=f"training.stability.{key} is {limit:g}",
                fix="start again with a lower --training.learning_rate, or raise "
                f"--training.stability.{key}",
            )
    return None
