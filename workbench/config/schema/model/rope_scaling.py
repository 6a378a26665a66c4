"""`model.rope_scaling`: rotary positions stretched over longer sequences."""

from __future__ import annotations

from typing import Literal

from workbench.config.schema.base import Section, Whole, key


class RopeScalingConfig(Section):
    """How the rotary angles are slowed down."""

    type: Literal["none", "linear", "dynamic", "llama3", "yarn"] = key(
        "none",
        "The recipe: linear slows all angles alike, llama3 and yarn only the slow ones, dynamic "
        "only as far as the sequence needs.",
        changes="quality on sequences beyond original_max_position_embeddings",
    )
    factor: float = key(
        1.0,
        "How many times longer the sequences become.",
        ignored="with type: none",
        ge=1.0,
    )
    low_freq_factor: float = key(
        1.0,
        "llama3: angles that turn less often than this over the original length are slowed fully.",
        ignored="unless type is llama3",
        gt=0.0,
    )
    high_freq_factor: float = key(
        4.0,
        "llama3: angles that turn more often than this over the original length stay as they are.",
        ignored="unless type is llama3",
        gt=0.0,
    )
    original_max_position_embeddings: Whole | None = key(
        None,
        "Sequence length that the model was first trained for; null means max_position_embeddings.",
        unit="tokens",
        ignored="with type: none",
        ge=1,
    )
    beta_fast: float = key(
        32.0,
        "yarn: angles that turn more often than this over the original length stay as they are.",
        unit="turns",
        ignored="unless type is yarn",
        gt=0.0,
    )
    beta_slow: float = key(
        1.0,
        "yarn: angles that turn less often than this over the original length are slowed fully.",
        unit="turns",
        ignored="unless type is yarn",
        gt=0.0,
    )
    attention_factor: float | None = key(
        None,
        "yarn: what queries and keys are multiplied by; null computes it from factor: "
        "0.1 ln(factor) + 1.",
        changes="sharpness of the attention",
        ignored="unless type is yarn",
        gt=0.0,
    )
    mscale: float | None = key(
        None,
        "yarn as DeepSeek has it: weight of ln(factor) in the numerator of attention_factor; needs "
        "mscale_all_dim.",
        ignored="unless type is yarn, and with an attention_factor",
        ge=0.0,
    )
    mscale_all_dim: float | None = key(
        None,
        "yarn as DeepSeek has it: the same in the denominator; latent attention also multiplies "
        "its scores by the square.",
        ignored="unless type is yarn, and with an attention_factor",
        ge=0.0,
    )
