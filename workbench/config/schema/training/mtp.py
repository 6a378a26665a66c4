"""`training.mtp`: multi-token prediction (DeepSeek-V3, arXiv 2412.19437, section 2.2)."""

from __future__ import annotations

from typing import Literal

from workbench.config.schema.base import Section, Whole, key


class MtpConfig(Section):
    """Extra heads that predict the tokens after the next one."""

    NEEDS = "training.mtp.enabled"

    enabled: bool = key(
        False,
        "Trains extra heads on the tokens after the next one; they can speed up generation later.",
        changes="parameters, memory and compute of the heads",
    )
    num_future_tokens: Whole = key(
        1,
        "How many tokens beyond the next one are predicted.",
        unit="tokens",
        changes="one head each",
        ge=1,
    )
    loss_weight: float = key(
        0.1, "Weight of the extra heads' loss beside the ordinary one.", ge=0.0
    )
    loss_weights: list[float] | None = key(
        None, "A weight for each distance, nearest first; null gives all loss_weight."
    )
    primary_loss_weight: float = key(1.0, "Weight of the ordinary next-token loss.", gt=0.0)
    head_type: Literal["linear", "mlp", "block"] = key(
        "block",
        "What a head is: one matrix, a small network, or a whole transformer block, which also "
        "reads the tokens before the predicted one.",
        changes="parameters of the heads",
    )
    head_intermediate_size: Whole | None = key(
        None,
        "Inner width of an mlp head; null means hidden_size.",
        unit="features",
        ignored="unless head_type is mlp",
        ge=1,
    )
    head_dropout: float = key(
        0.0, "Probability that a feature of a head is zeroed during training.", ge=0.0, lt=1.0
    )
    share_projections: bool = key(
        True,
        "Lets all heads use the output matrix of the model, as DeepSeek-V3 does.",
        changes="saves vocab_size x hidden_size parameters per head",
        unhonoured="the heads always share the output matrix",
    )
    warmup_epochs: Whole = key(
        0,
        "Passes over the text before the extra heads begin to learn.",
        unit="epochs",
        unhonoured="the heads learn from the first step on",
        ge=0,
    )
    adaptive: bool = key(
        False,
        "Adds a gate that decides per token whether the extra heads are sure enough to count.",
        changes="compute; the weight of uncertain predictions",
        unhonoured="there is no gate: every prediction counts by its loss_weight",
    )
    confidence_threshold: float = key(
        0.6,
        "The gate's limit: below it the extra heads do not count.",
        needs="training.mtp.adaptive",
        unhonoured="there is no gate",
        ge=0.0,
        le=1.0,
    )
