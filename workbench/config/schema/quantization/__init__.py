"""`quantization`: training in, or for, fewer bits."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from workbench.config.schema.base import NOT_BUILT, Section, Whole, key
from workbench.config.schema.quantization.fp8 import Fp8Config
from workbench.config.schema.quantization.nvfp4 import Nvfp4Config


class QuantizationConfig(Section):
    """Quantisation-aware training: the forward pass rounds as the finished model will."""

    UNHONOURED = NOT_BUILT
    NEEDS = "quantization.quantization_aware"

    quantization_aware: bool = key(
        False,
        "Rounds weights in the forward pass as the finished model will, so that it learns to cope.",
        changes="quality after quantisation; slower steps; no memory is saved in training",
    )
    bit_width: Whole = key(
        8,
        "Bits that a rounded weight is stored in.",
        unit="bits",
        changes="size of the finished model",
        ge=2,
        le=8,
    )
    start_quantization_step: Whole = key(
        0, "Step at which the rounding of the weights begins.", unit="optimizer steps", ge=0
    )
    quantization_warmup_steps: Whole = key(
        0, "Steps over which the rounding grows to its full effect.", unit="optimizer steps", ge=0
    )
    quantization_schedule: Literal["linear", "cosine", "step"] = key(
        "linear",
        "How the rounding grows to its full effect.",
        ignored="with quantization_warmup_steps: 0",
    )
    fp8: Fp8Config = Field(default_factory=Fp8Config)
    nvfp4: Nvfp4Config = Field(default_factory=Nvfp4Config)
