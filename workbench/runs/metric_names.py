"""What the columns of a metrics file mean: the one table that every face reads.

A row is one optimizer step, or one evaluation; a name that is not there was not measured.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple


class Metric(NamedTuple):
    """One column.

    Attributes:
        unit: What one of it is; empty for a plain number.
        meaning: What it is, in one sentence.
    """

    unit: str
    meaning: str


METRICS: Final[dict[str, Metric]] = {
    "step": Metric("optimizer steps", "Optimizer steps done."),
    "t": Metric("s", "When the row was written, since the epoch."),
    "loss": Metric("nats per token", "Mean cross-entropy of the step, auxiliary terms left out."),
    "val_loss": Metric("nats per token", "Mean cross-entropy on held-out text."),
    "lr": Metric("", "Learning rate of the step."),
    "grad_norm": Metric("", "2-norm of the step's gradient before clipping."),
    "tokens": Metric("tokens", "Tokens trained on so far."),
    "tokens_per_s": Metric("tokens/s", "Tokens of the step over its seconds, all devices."),
    "step_s": Metric("s", "From the first micro-batch to the end of the update."),
    "data_wait_s": Metric("s", "Part of step_s in which the data was waited for."),
    "gradient_s": Metric("s", "Forward and backward passes (logging.wall_clock_breakdown)."),
    "update_s": Metric("s", "Clipping and optimizer (logging.wall_clock_breakdown)."),
    "mfu": Metric(
        "", "FLOPs that the model needs per second, over the peak of all devices; no peak, no MFU."
    ),
    "memory_allocated": Metric("bytes", "Largest memory of tensors on a GPU so far."),
    "memory_reserved": Metric("bytes", "Largest memory that torch held on a GPU so far."),
    "memory_host": Metric("bytes", "Largest resident memory of the first process so far."),
    "memory_after_gradient": Metric("bytes", "In use after the backward pass (memory_breakdown)."),
    "memory_after_update": Metric("bytes", "In use after the update (memory_breakdown)."),
    "aux_loss": Metric("", "Balance of the experts without its weight; 1 is even."),
    "z_loss": Metric("", "Mean squared size of the router's logits, without its weight."),
    "expert_load": Metric("", "Busiest expert over the mean of its layer; the worst layer."),
    "dropped": Metric("", "Share of expert slots that found no room."),
    "dead_experts": Metric("experts", "Experts that no token of the step went to, all layers."),
    "experts_used": Metric("", "Share of the experts that a token of the step went to."),
    "loss_minimised": Metric("nats per token", "What training.losses make of the loss."),
    "prediction_entropy": Metric("nats per token", "Mean entropy of the predictions."),
}

_FAMILIES: Final[tuple[tuple[re.Pattern[str], Metric], ...]] = (
    (
        re.compile(r"loss_ahead_\d+"),
        Metric("nats per token", "Cross-entropy of predicting that many tokens further ahead."),
    ),
    (
        re.compile(r"expert_share_\d+"),
        Metric("", "Share of the slots that asked for this expert, mean over the layers."),
    ),
)


def describe(name: str) -> Metric | None:
    """What a column means; None for one that we do not write."""
    if name in METRICS:
        return METRICS[name]
    return next((metric for pattern, metric in _FAMILIES if pattern.fullmatch(name)), None)
