"""`training.stability`: when a training that goes wrong should stop."""

from __future__ import annotations

from workbench.config.schema.base import Section, key


class StabilityConfig(Section):
    """Limits, and small aids against trouble."""

    stop_on_nan: bool = key(
        True,
        "Stops before the update when the loss or a gradient is not a finite number; false leaves "
        "out the update of that step instead, and stops after ten such steps in a row.",
        changes="whether one bad batch ends the training",
    )
    max_loss_before_stop: float | None = key(
        None,
        "Stops when the loss rises above this; null does not.",
        gt=0.0,
    )
    max_grad_norm_before_stop: float | None = key(
        None,
        "Stops when the gradient norm, before clipping, rises above this; null does not.",
        gt=0.0,
    )
    sync_gradients_each_step: bool = key(
        False,
        "Waits for the device after each micro-batch, so that an error names the right one.",
        changes="slower steps; for hunting faults",
    )
    use_stable_embedding: bool = key(
        False,
        "Normalises the token embedding and keeps its optimizer state in 32 bits "
        "(arXiv 2110.02861).",
        changes="stability with 8-bit optimizers",
        unhonoured="the embedding is neither normalised nor treated apart",
    )
