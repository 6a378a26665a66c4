"""Rotary angles stretched over longer sequences than a model was first trained for.

Each recipe slows some of the angles down. The formulas are those of the papers, in the form that
Hugging Face checkpoints are published for.

Shapes: P pairs of features, half of the turned width.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from workbench.config.schema.model.rope_scaling import RopeScalingConfig


def frequencies(
    width: int,
    theta: float,
    scaling: RopeScalingConfig | None,
    trained_length: int,
    *,
    length: int,
    device: torch.device | None = None,
) -> tuple[torch.Tensor, float]:
    """The angle of each pair per position, and what cosine and sine are multiplied by.

    Args:
        width: Turned features of a head.
        theta: Base of the angles.
        scaling: The recipe; None stretches nothing.
        trained_length: The original sequence length, L, unless ``scaling`` names it.
        length: Positions at hand; only ``dynamic`` cares.
        device: Where to.
    """
    kind = "none" if scaling is None else scaling.type
    if scaling is None or kind == "none":
        return _plain(width, theta, device), 1.0
    trained = scaling.original_max_position_embeddings or trained_length
    if kind == "linear":  # arXiv 2306.15595
        return _plain(width, theta, device) / scaling.factor, 1.0
    if kind == "dynamic":
        # A larger base, such that the slowest angle just covers the length at hand.
        stretch = scaling.factor * max(length, trained) / trained - (scaling.factor - 1)
        return _plain(width, theta * stretch ** (width / (width - 2)), device), 1.0
    if kind == "llama3":
        return _llama3(_plain(width, theta, device), scaling, trained), 1.0
    return _yarn(width, theta, scaling, trained, device), yarn_magnitude(scaling)


def _plain(width: int, theta: float, device: torch.device | None) -> torch.Tensor:
    feature_P = torch.arange(0, width, 2, dtype=torch.float32, device=device)
    return 1.0 / theta ** (feature_P / width)


def _llama3(frequency_P: torch.Tensor, scaling: RopeScalingConfig, trained: int) -> torch.Tensor:
    """Llama 3.1: angles that turn often stay, those that turn rarely are slowed, a ramp between."""
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    turns_P = trained * frequency_P / (2 * math.pi)
    kept_P = ((turns_P - low) / (high - low)).clamp(0, 1)
    return frequency_P * (kept_P + (1 - kept_P) / scaling.factor)


def _yarn(
    width: int,
    theta: float,
    scaling: RopeScalingConfig,
    trained: int,
    device: torch.device | None,
) -> torch.Tensor:
    """YaRN (arXiv 2309.00071, section 3.2): the ramp is over the index of the pair."""

    def pair_that_turns(times: float) -> float:
        return width * math.log(trained / (times * 2 * math.pi)) / (2 * math.log(theta))

    first = max(math.floor(pair_that_turns(scaling.beta_fast)), 0)
    last = min(math.ceil(pair_that_turns(scaling.beta_slow)), width - 1)
    frequency_P = _plain(width, theta, device)
    pair_P = torch.arange(width // 2, dtype=torch.float32, device=device)
    slowed_P = ((pair_P - first) / max(last - first, 0.001)).clamp(0, 1)
    return frequency_P * (1 - slowed_P + slowed_P / scaling.factor)


def yarn_magnitude(scaling: RopeScalingConfig) -> float:
    """What YaRN multiplies cosine and sine by (equation 22), so the scores by its square.

    DeepSeek gives the two sides of a quotient, ``mscale`` and ``mscale_all_dim``.
    """
    if scaling.attention_factor is not None:
        return scaling.attention_factor
    if scaling.mscale and scaling.mscale_all_dim:
        return yarn_mscale(scaling.factor, scaling.mscale) / yarn_mscale(
            scaling.factor, scaling.mscale_all_dim
        )
    return yarn_mscale(scaling.factor, 1.0)


def yarn_mscale(factor: float, weight: float) -> float:
    """``1 + weight * 0.1 ln(factor)``: longer sequences need sharper attention."""
    return 1.0 if factor <= 1 else 0.1 * weight * math.log(factor) + 1.0
