"""`checkpointing.storage_tier`: rarer checkpoints in lasting storage such as S3."""

from __future__ import annotations

from workbench.config.schema.base import NOT_BUILT, Section, Whole, key


class StorageTierConfig(Section):
    """Slow and safe."""

    UNHONOURED = NOT_BUILT
    NEEDS = "checkpointing.storage_tier.enabled"

    enabled: bool = key(
        False,
        "Copies some of the checkpoints to lasting storage.",
        changes="storage and network traffic",
    )
    save_steps: Whole = key(
        20,
        "Steps between two copies; a multiple of memory_tier.save_steps.",
        unit="optimizer steps",
        changes="what is left after the loss of all nodes",
        ge=1,
    )
    path: str | None = key(
        None, "Where they go: a folder, or an address such as s3://bucket/checkpoints."
    )
