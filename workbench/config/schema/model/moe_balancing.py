"""`model.moe_balancing`: keeping the experts equally busy."""

from __future__ import annotations

from typing import Literal

from workbench.config.schema.base import Section, key

_LOSS_FREE = "unless method is loss_free"


class MoeBalancingConfig(Section):
    """By an auxiliary loss, or without one."""

    method: Literal["aux_loss", "loss_free", "none"] = key(
        "aux_loss",
        "aux_loss adds a penalty for uneven load to the loss. loss_free moves a bias per expert "
        "instead, which steers the choice and leaves the gradient alone (arXiv 2408.15664).",
        changes="balance of the experts against quality",
        ignored="with num_experts: 1",
    )
    bias_update_rate: float = key(
        0.001,
        "How far the bias of an over- or underloaded expert moves after each step.",
        changes="speed against steadiness of the balance",
        ignored=_LOSS_FREE,
        gt=0.0,
    )
    bias_decay: float = key(
        0.0,
        "Memory of the running mean of each expert's load, by which the bias moves; 0 goes by the "
        "last step alone, as the paper does.",
        changes="speed against steadiness of the balance",
        ignored=_LOSS_FREE,
        ge=0.0,
        lt=1.0,
    )
    loss_type: Literal["load", "entropy"] = key(
        "load",
        "What the auxiliary loss measures: load is the product of token share and mean probability "
        "(Switch Transformer), entropy the evenness of the probabilities alone.",
        ignored="unless method is aux_loss",
    )
    sequence_loss_coef: float = key(
        0.0,
        "Weight of a balance loss within each single sequence, as DeepSeek-V3 adds to loss_free.",
        changes="balance inside a sequence",
        ignored="with num_experts: 1",
        ge=0.0,
    )
    gradient_balance_weight: float = key(
        0.0,
        "Weight of a term that evens out the gradients that the experts receive.",
        ignored="with num_experts: 1",
        unhonoured="an expert's gradient is known only after the backward pass of the loss that "
        "the term would belong to",
        ge=0.0,
    )
