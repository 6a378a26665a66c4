"""`checkpointing.storage_tier`: rarer checkpoints in lasting storage such as S3."""

from __future__ import annotations

from workbench.config.schema.base import Section, Whole, key


class StorageTierConfig(Section):
    """Slow and safe."""

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
        None,
        "Folder for them, such as a mounted network disk; a bucket (s3://…) has to be mounted.",
        changes="files",
    )
