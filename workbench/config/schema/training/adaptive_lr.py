"""`training.adaptive_lr`: a learning rate that follows the loss instead of the calendar."""

from __future__ import annotations

from workbench.config.schema.base import Section, Whole, key


class AdaptiveLrConfig(Section):
    """Raised on plateaus, lowered on divergence."""

    NEEDS = "training.adaptive_lr.enabled"

    enabled: bool = key(
        False,
        "Adjusts the learning rate to how the loss moves, on top of the schedule.",
        changes="quality; a run is harder to compare with another",
    )
    min_lr: float = key(0.0, "The learning rate is never lowered below this.", ge=0.0)
    max_lr: float | None = key(
        None, "The learning rate is never raised above this; null means learning_rate.", gt=0.0
    )
    check_interval: Whole = key(
        100, "Steps between two looks at how the loss moves.", unit="optimizer steps", ge=1
    )
    loss_window: Whole = key(
        100,
        "Steps whose mean loss is compared with that of the steps before.",
        unit="optimizer steps",
        ge=1,
    )
    min_improvement: float = key(
        0.005, "A smaller relative fall of the loss than this counts as a plateau.", ge=0.0
    )
    plateau_patience: Whole = key(
        1500,
        "Steps on a plateau before the learning rate changes.",
        unit="optimizer steps",
        ge=1,
    )
    plateau_factor: float = key(
        0.5,
        "What the learning rate is multiplied by on a plateau; above 1 shakes the model out of it.",
        gt=0.0,
    )
    increase_factor: float = key(
        1.1, "What the learning rate is multiplied by while the loss falls steadily.", ge=1.0
    )
    stability_threshold: Whole = key(
        5, "Looks with a falling loss before the learning rate may rise.", unit="looks", ge=1
    )
    divergence_threshold: Whole = key(
        5, "Looks with a rising loss before emergency_factor is applied.", unit="looks", ge=1
    )
    emergency_factor: float = key(
        0.5, "What the learning rate is multiplied by when the loss diverges.", gt=0.0, lt=1.0
    )
    warmup_percentage: float = key(
        0.05, "Share of the training at the start during which nothing is adjusted.", ge=0.0, lt=1.0
    )
