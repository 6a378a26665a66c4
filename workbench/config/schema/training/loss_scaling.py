"""`training.loss_scaling`: keeping small fp16 gradients from rounding to zero."""

from __future__ import annotations

from workbench.config.schema.base import Section, Whole, key


class LossScalingConfig(Section):
    """The loss is multiplied before the backward pass and the gradients divided after it."""

    NEEDS = "training.mixed_precision=fp16"

    scale: float = key(
        0.0,
        "Fixed factor; 0 finds one by itself: halved on overflow, doubled after a quiet window.",
        ge=0.0,
    )
    initial_scale_power: Whole = key(
        16,
        "The search for a factor begins at 2 to this power.",
        unit="powers of two",
        ignored="with scale above 0",
        ge=0,
        le=64,
    )
    window: Whole = key(
        1000,
        "Steps without overflow before the factor doubles.",
        unit="optimizer steps",
        ignored="with scale above 0",
        ge=1,
    )
    hysteresis: Whole = key(
        2,
        "Overflows that are forgiven before the factor halves.",
        unit="overflows",
        ignored="with scale above 0",
        ge=1,
    )
    consecutive_hysteresis: bool = key(
        False,
        "Forgives the full number again after every step without overflow.",
        ignored="with scale above 0",
    )
    min_scale: float = key(
        1.0,
        "The factor that the loss is multiplied by never falls below this.",
        ignored="with scale above 0",
        gt=0.0,
    )
