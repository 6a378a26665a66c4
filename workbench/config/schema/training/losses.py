"""`training.losses`: terms beside the cross-entropy, as in Ava's enhanced_features.losses."""

from __future__ import annotations

from workbench.config.schema.base import Section, key

_NO_PAIRS = "running text has no pairs of sequences that are known to be similar"
_ROUTED = "an expert computes its own tokens only, so no two are seen on the same input"


class LossesConfig(Section):
    """Each is off unless it is asked for. The loss that is reported stays the cross-entropy."""

    focal_loss: bool = key(
        False,
        "Gives tokens that are already predicted well less weight (arXiv 1708.02002).",
        changes="what the gradient spends itself on",
    )
    contrastive_loss: bool = key(
        False,
        "Pulls representations of similar sequences together and pushes others apart.",
        changes="the space of representations",
        unhonoured=_NO_PAIRS,
    )
    contrastive_loss_weight: float = key(
        0.0,
        "Weight of the contrastive term beside the cross-entropy.",
        needs="training.losses.contrastive_loss",
        ge=0.0,
        unhonoured=_NO_PAIRS,
    )
    diversity_loss: bool = key(
        False,
        "Penalises experts that compute the same thing.",
        ignored="with num_experts: 1",
        unhonoured=_ROUTED,
    )
    diversity_loss_weight: float = key(
        0.0,
        "Weight of the diversity term beside the cross-entropy.",
        needs="training.losses.diversity_loss",
        ge=0.0,
        unhonoured=_ROUTED,
    )
    adaptive_loss_scaling: bool = key(
        False,
        "Learns the weights of the several terms instead of keeping them fixed.",
        changes="the balance of the terms; losses of two runs no longer compare",
        unhonoured="a learned weight is lowest where it trains least; weights are set by hand",
    )
    initial_temperature: float = key(
        1.0, "Logits are divided by this before the loss.", changes="sharpness", gt=0.0
    )
    adaptive_temperature: bool = key(
        False,
        "Moves that temperature while training.",
        changes="sharpness",
        unhonoured="the temperature stays at initial_temperature",
    )
    entropy_regularization: float = key(
        0.0, "Weight of a reward for predictions that are not too certain.", ge=0.0
    )
    output_diversity_weight: float = key(
        0.0,
        "Weight of a penalty for predicting the same token everywhere.",
        ge=0.0,
        unhonoured="it needs the logits of all tokens at once, and only chunks of them exist",
    )
    eos_logit_bias: float = key(
        0.0,
        "Number added to the logit of the end-of-text token while training; generation does not "
        "have it, so the two differ.",
        changes="length of generated text",
        unhonoured="the loss sees token ids, and no tokenizer that says which one ends a text",
    )
