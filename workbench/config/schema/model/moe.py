"""`model.moe`: experts beyond the basics: shared experts, dense layers, groups and segments."""

from __future__ import annotations

from typing import Literal

from workbench.config.schema.base import Section, Whole, key

_DENSE = "with num_experts: 1"
_SEGMENTS = (
    "experts are not cut into segments; twice the model.num_experts and "
    "model.num_experts_per_token at half the expert_intermediate_size say the same"
)


class MoeConfig(Section):
    """What DeepSeek-style mixtures add to num_experts and num_experts_per_token."""

    expert_intermediate_size: Whole | None = key(
        None,
        "Inner width of each routed expert; null means model.intermediate_size.",
        unit="features",
        changes="parameters and compute of the experts",
        ignored=_DENSE,
        ge=1,
    )
    num_shared_experts: Whole = key(
        0,
        "Experts that every token visits besides the routed ones.",
        unit="experts",
        changes="parameters and compute per token",
        ignored=_DENSE,
        ge=0,
    )
    shared_intermediate_size: Whole | None = key(
        None,
        "Inner width of a shared expert; null means that of a routed one.",
        unit="features",
        changes="parameters and compute per token",
        ignored="with num_shared_experts: 0",
        ge=1,
    )
    dense_layer_interval: Whole | None = key(
        None,
        "Every this many layers, from the first on, an ordinary feed-forward replaces the experts; "
        "null means never.",
        unit="layers",
        changes="total parameters",
        ignored=_DENSE,
        ge=1,
    )
    num_dense_layers: Whole = key(
        0,
        "Number of first layers that keep an ordinary feed-forward.",
        unit="layers",
        changes="total parameters; early stability",
        ignored=_DENSE,
        ge=0,
    )
    num_expert_groups: Whole = key(
        1,
        "Groups that the experts are divided into, usually one per node.",
        unit="groups",
        changes="traffic between nodes",
        ignored=_DENSE,
        ge=1,
    )
    num_limited_groups: Whole = key(
        1,
        "How many groups the experts of one token may come from.",
        unit="groups",
        changes="traffic between nodes",
        ignored="with num_expert_groups: 1",
        ge=1,
    )
    score_function: Literal["softmax", "sigmoid"] = key(
        "softmax",
        "How router logits become scores: softmax lets experts compete, sigmoid rates each alone, "
        "as in DeepSeek-V3.",
        ignored=_DENSE,
    )
    normalize_expert_weights: bool = key(
        True,
        "Makes the weights of a token's chosen experts add up to one.",
        ignored="with num_experts: 1 and with num_experts_per_token: 1",
    )
    routed_scaling_factor: float = key(
        1.0,
        "Multiplies the routed experts' sum before it joins the residual stream.",
        ignored=_DENSE,
        gt=0.0,
    )
    router_temperature: float = key(
        1.0,
        "Router logits are divided by it: above 1 the choice of experts is softer.",
        changes="exploration of experts",
        ignored=_DENSE,
        gt=0.0,
    )
    router_noise_std: float = key(
        0.0,
        "Standard deviation of the noise added to router logits while training.",
        changes="exploration of experts",
        ignored=_DENSE,
        ge=0.0,
    )
    min_expert_capacity: Whole = key(
        0,
        "Fewest tokens that an expert has room for, whatever expert_capacity_factor gives.",
        unit="tokens",
        changes="dropped tokens in small batches",
        ignored="with expert_capacity_factor: null",
        ge=0,
    )
    num_expert_segments: Whole = key(
        1,
        "Parts that each expert is cut into, so that the router can mix finer pieces.",
        unit="segments",
        changes="routing compute; specialisation of the experts",
        ignored=_DENSE,
        unhonoured=_SEGMENTS,
        ge=1,
    )
    expert_segment_sizes: list[Whole] | None = key(
        None,
        "Inner width of each segment; null cuts into equal parts.",
        unit="features",
        ignored="with num_expert_segments: 1",
        unhonoured=_SEGMENTS,
    )
    segment_routing: Literal["independent", "shared"] = key(
        "independent",
        "Whether each segment has a router of its own or all follow one.",
        ignored="with num_expert_segments: 1",
        unhonoured=_SEGMENTS,
    )
