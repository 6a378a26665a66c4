"""`checkpointing.memory_tier`: frequent checkpoints in the memory of the nodes."""

from __future__ import annotations

from workbench.config.schema.base import Section, Whole, key


class MemoryTierConfig(Section):
    """Fast to write and to load, lost when too many nodes are lost."""

    NEEDS = "checkpointing.memory_tier.enabled"

    enabled: bool = key(
        False,
        "Keeps frequent checkpoints in host memory, so that a restart costs seconds.",
        changes="host memory: one checkpoint per node",
    )
    save_steps: Whole = key(
        10,
        "Steps between two checkpoints in memory.",
        unit="optimizer steps",
        changes="how much a crash can cost",
        ge=1,
    )
    replicas: Whole = key(
        1,
        "Other nodes that hold a copy, so that a lost node loses nothing.",
        unit="nodes",
        changes="host memory and network traffic",
        unhonoured="only the first node holds one; storage_tier outlives it",
        ge=0,
    )
