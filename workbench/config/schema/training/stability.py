"""`training.stability`: when a training that goes wrong should stop."""

from __future__ import annotations

from workbench.config.schema.base import NOT_BUILT, Section, key


class StabilityConfig(Section):
    """Limits, and small aids against trouble."""

    stop_on_nan: bool = key(
        True,
        "Stops before the update when the loss or a gradient is not a finite number.",
        changes="false would train on with broken weights",
        unhonoured="the trainer always stops, because the weights would be lost",
    )
    max_loss_before_stop: float | None = key(
        None,
        "Stops when the loss rises above this; null does not.",
        unhonoured=NOT_BUILT,
        gt=0.0,
    )
    max_grad_norm_before_stop: float | None = key(
        None,
        "Stops when the gradient norm, before clipping, rises above this; null does not.",
        unhonoured=NOT_BUILT,
        gt=0.0,
    )
    sync_gradients_each_step: bool = key(
        False,
        "Waits for the device after each micro-batch, so that an error names the right one.",
        changes="slower steps; for hunting faults",
        unhonoured=NOT_BUILT,
    )
    use_stable_embedding: bool = key(
        False,
        "Normalises the token embedding and keeps its optimizer state in 32 bits "
        "(arXiv 2110.02861).",
        changes="stability with 8-bit optimizers",
        unhonoured=NOT_BUILT,
    )
