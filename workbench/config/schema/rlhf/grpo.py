"""`rlhf.grpo`: group-relative policy optimisation (arXiv 2402.03300)."""

from __future__ import annotations

from workbench.config.schema.base import NOT_BUILT, Section, Whole, key


class GrpoConfig(Section):
    """Several answers to each prompt, judged against their mean; no value model."""

    UNHONOURED = NOT_BUILT
    NEEDS = "rlhf.enabled"

    num_generations: Whole = key(
        8,
        "Answers to each prompt that are compared with each other.",
        unit="answers",
        changes="time and memory of generation; noise of the update",
        ge=2,
    )
    num_iterations: Whole = key(
        1, "How often each batch of answers is learned from.", unit="passes", ge=1
    )
    epsilon: float = key(
        0.2, "How far the probability of a token may move in one batch.", gt=0.0, lt=1.0
    )
