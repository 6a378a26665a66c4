"""`quantization.fp8`: 8-bit matrix products (arXiv 2209.05433)."""

from __future__ import annotations

from typing import Literal

from workbench.config.schema.base import Section, Whole, key

_DELAYED = "unless recipe is delayed"


class Fp8Config(Section):
    """How numbers are scaled into 8 bits; training.mixed_precision: fp8 turns it on."""

    UNHONOURED = "it belongs to fp8, which the trainer does not compute in"
    NEEDS = "training.mixed_precision=fp8"

    format: Literal["hybrid", "e4m3"] = key(
        "hybrid",
        "hybrid takes e4m3 (finer) forward and e5m2 (wider range) for gradients; e4m3 takes it "
        "for both.",
        changes="stability against accuracy",
    )
    recipe: Literal["tensorwise", "rowwise", "blockwise", "delayed"] = key(
        "rowwise",
        "How many numbers share one scale; delayed takes the scale of past steps.",
        changes="speed against accuracy",
    )
    margin: Whole = key(
        0,
        "Room for growth: scales are made smaller by two to this power.",
        unit="powers of two",
        ignored=_DELAYED,
        ge=0,
        le=16,
    )
    amax_history_len: Whole = key(
        1024,
        "Steps whose largest values decide the scale.",
        unit="optimizer steps",
        ignored=_DELAYED,
        ge=1,
    )
    amax_compute_algo: Literal["max", "most_recent"] = key(
        "max", "Whether the largest or the newest of them decides.", ignored=_DELAYED
    )
    interval: Whole = key(
        1,
        "Steps between two computations of the scales. No release of any trainer ever acted on it.",
        unit="optimizer steps",
        unhonoured="it never had an effect in any trainer",
        ge=1,
    )
    override_linear_precision: bool = key(
        False, "Computes the weight gradients of linear layers in higher precision."
    )
    compile: bool = key(
        False,
        "Compiles the scaling into the matrix products; without it fp8 is rarely faster.",
        changes="speed",
    )
