"""`rlhf.dpo`: direct preference optimisation (arXiv 2305.18290)."""

from __future__ import annotations

from typing import Literal

from workbench.config.schema.base import NOT_BUILT, Section, key


class DpoConfig(Section):
    """Learning from pairs of a better and a worse answer."""

    UNHONOURED = NOT_BUILT
    NEEDS = "rlhf.enabled"

    beta: float = key(
        0.1,
        "How strongly the model is held to the reference model.",
        changes="how far the model may drift",
        gt=0.0,
    )
    loss_type: Literal["sigmoid", "hinge", "ipo"] = key(
        "sigmoid", "Shape of the loss on a pair of answers."
    )
    label_smoothing: float = key(
        0.0, "Share of the pairs that are taken to be labelled the wrong way.", ge=0.0, lt=0.5
    )
