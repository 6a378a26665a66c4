"""`quantization.nvfp4`: 4-bit blocks with 8-bit scales (arXiv 2509.25149)."""

from __future__ import annotations

from typing import Literal

from workbench.config.schema.base import NOT_BUILT, Section, Whole, key


class Nvfp4Config(Section):
    """NVIDIA's 4-bit format; only Blackwell computes in it, elsewhere it is imitated."""

    UNHONOURED = NOT_BUILT
    NEEDS = "quantization.nvfp4.enabled"

    enabled: bool = key(
        False,
        "Rounds to 4-bit numbers in blocks that share a scale.",
        changes="4.5 bits per stored weight; speed on Blackwell only",
    )
    block_size: Whole = key(
        16,
        "Numbers that share one scale; the format is defined for 16.",
        unit="numbers",
        changes="accuracy against the size of the scales",
        ge=1,
    )
    mode: Literal["weight_only", "full"] = key(
        "weight_only", "Whether activations and gradients are rounded too."
    )
    stochastic_rounding: bool = key(
        False, "Rounds up or down at random, in proportion, so that the mean is kept."
    )
    use_hadamard_transform: bool = key(
        False, "Mixes the numbers of a block before rounding, which spreads outliers."
    )
    use_torchao: bool = key(
        False, "Takes torchao's implementation instead of our own.", changes="speed on Blackwell"
    )
    calibration_samples: Whole = key(
        0,
        "Sequences from which the scales are estimated beforehand; 0 computes them as it goes.",
        unit="sequences",
        ge=0,
    )
    dynamic_quantization: bool = key(
        True, "Computes scales anew in each step instead of keeping the calibrated ones."
    )
    outlier_threshold: float | None = key(
        None,
        "Numbers this many standard deviations out stay in higher precision; null rounds all.",
        unit="standard deviations",
        gt=0.0,
    )
    per_channel: bool = key(
        False, "Gives every output feature a scale of its own on top of the blocks."
    )
