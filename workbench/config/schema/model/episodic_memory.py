"""`model.episodic_memory`: past sequences that are trained on again."""

from __future__ import annotations

from typing import Literal

from workbench.config.schema.base import NOT_BUILT, Section, Whole, key


class EpisodicMemoryConfig(Section):
    """What is kept, and how it comes back."""

    UNHONOURED = NOT_BUILT
    NEEDS = "model.use_episodic_memory"

    capacity: Whole = key(
        1000,
        "Number of sequences that are kept.",
        unit="sequences",
        changes="host memory: capacity x sequence length x 4 bytes",
        ge=1,
    )
    selection_strategy: Literal["importance", "random", "task_balanced"] = key(
        "importance",
        "Which sequences are worth keeping: those with a high loss, any, or equally many per task.",
    )
    importance_threshold: float = key(
        0.5,
        "Sequences below this share of the highest importance are not kept.",
        ignored="unless selection_strategy is importance",
        ge=0.0,
        le=1.0,
    )
    retrieval_method: Literal["cosine", "euclidean", "dot"] = key(
        "cosine",
        "How the similarity of two sequences is measured when one is looked for.",
        ignored="unless replay_strategy is similarity",
    )
    replay_ratio: float = key(
        0.2,
        "Share of each batch that is filled with remembered sequences.",
        changes="forgetting against learning of new text",
        ge=0.0,
        le=1.0,
    )
    replay_strategy: Literal["importance", "random", "similarity"] = key(
        "importance", "Which remembered sequences come back first."
    )
    adaptation_rate: float = key(
        0.01, "How fast the importance of a sequence follows its newest loss.", gt=0.0, le=1.0
    )
    performance_window: Whole = key(
        100,
        "Steps over which the benefit of the memory is judged.",
        unit="optimizer steps",
        ge=1,
    )
    task_id: Whole = key(
        0, "Number of the task that the present data belongs to.", ignored="with one task", ge=0
    )
