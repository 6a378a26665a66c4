"""`checkpointing`: what a checkpoint holds, and where it is kept.

How often is `training.save_steps`, how many is `training.save_total_limit`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from workbench.config.schema.base import ONE_DEVICE, Section, Whole, key
from workbench.config.schema.checkpointing.memory_tier import MemoryTierConfig
from workbench.config.schema.checkpointing.storage_tier import StorageTierConfig


class CheckpointingConfig(Section):
    """Contents, format, and a fast and a safe tier."""

    resume_from_checkpoint: str | None = key(
        None,
        "Checkpoint of another run to go on from; a run resumes from its own by ava runs resume.",
        changes="weights, optimizer and step at the start",
        unhonoured="a run goes on from its own newest checkpoint only",
    )
    fresh_start: bool = key(
        False,
        "Begins at step 0 even though there are checkpoints.",
        changes="the step at the start",
        unhonoured="a new run always begins at step 0; resuming is a command of its own",
    )
    format: Literal["safetensors", "torch", "deepspeed", "dcp"] = key(
        "safetensors",
        "File format: safetensors cannot hold code; dcp writes one part per device.",
        changes="files",
        unhonoured_values=dict.fromkeys(
            ("torch", "deepspeed", "dcp"), "checkpoints are safetensors"
        ),
    )
    save_optimizer_states: bool = key(
        True,
        "Saves the optimizer too. Without it a checkpoint is a third of the size, but resuming is "
        "not exact.",
        changes="disk; exactness of a resumed run",
        unhonoured="the optimizer is always saved",
    )
    save_on_each_node: bool = key(
        False,
        "Writes a checkpoint on every node's own disk instead of once on a shared one.",
        changes="disk",
        unhonoured=ONE_DEVICE,
    )
    load_universal: bool = key(
        False,
        "Loads a checkpoint that was converted to be independent of the number of devices.",
        unhonoured=ONE_DEVICE,
    )
    keep_best_n: Whole = key(
        0,
        "Checkpoints that are kept because they are best by training.metric_for_best_model.",
        unit="checkpoints",
        changes="disk",
        unhonoured="the trainer keeps the newest ones",
        ge=0,
    )
    namespace: str | None = key(
        None,
        "Name that keeps the tiers of several trainings apart; null is the run's name.",
        unhonoured="there are no tiers",
        max_length=63,
    )
    memory_tier: MemoryTierConfig = Field(default_factory=MemoryTierConfig)
    storage_tier: StorageTierConfig = Field(default_factory=StorageTierConfig)
