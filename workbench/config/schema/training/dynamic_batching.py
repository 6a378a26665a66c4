"""`training.dynamic_batching`: a micro-batch that grows until the device is full."""

from __future__ import annotations

from workbench.config.schema.base import NOT_BUILT, Section, Whole, key


class DynamicBatchingConfig(Section):
    """Limits and pace of the adjustment."""

    UNHONOURED = NOT_BUILT
    NEEDS = "training.dynamic_batching.enabled"

    enabled: bool = key(
        False,
        "Adjusts the micro-batch to the free memory while training.",
        changes="speed; the batch of a step is no longer what the config says",
    )
    min_batch_size: Whole = key(
        1, "Smallest micro-batch that the adjustment may choose.", unit="sequences", ge=1
    )
    max_batch_size: Whole = key(
        64, "Largest micro-batch that the adjustment may choose.", unit="sequences", ge=1
    )
    target_memory_utilization: float = key(
        0.85, "Share of the device's memory that the adjustment aims for.", gt=0.0, le=1.0
    )
    adjustment_frequency: Whole = key(
        100, "Steps between two adjustments of the micro-batch.", unit="optimizer steps", ge=1
    )
    adjustment_factor: float = key(
        1.25, "Largest factor by which one adjustment changes the micro-batch.", ge=1.0
    )
    warmup_steps: Whole = key(
        500, "Steps at the start without adjustment.", unit="optimizer steps", ge=0
    )
    smooth_transitions: bool = key(
        False, "Moves to the new size over several steps instead of at once."
    )
