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
        "Checkpoint of another run to go on from, or a run's folder for its newest; a run resumes "
        "from its own by ava runs resume.",
        changes="weights, optimizer and step at the start",
    )
    fresh_start: bool = key(
        False,
        "Begins at step 0 even though there are checkpoints of other runs: takes the weights alone "
        "of resume_from_checkpoint, and leaves those of a shared namespace where they are.",
        changes="the step at the start",
    )
    asynchronous: bool = key(
        True,
        "Copies the weights to host memory and writes them from there while the training goes on.",
        changes="host memory: one copy of weights and optimizer; no pause for the disk",
    )
    format: Literal["safetensors", "torch", "deepspeed", "dcp"] = key(
        "safetensors",
        "File format: safetensors cannot hold code; dcp writes one part per device.",
        changes="files",
        unhonoured_values=dict.fromkeys(
            ("torch", "deepspeed", "dcp"),
            "checkpoints are whole tensors in safetensors, which any number of devices loads",
        ),
    )
    save_optimizer_states: bool = key(
        True,
        "Saves the optimizer too. Without it a checkpoint is a third of the size, but resuming is "
        "not exact.",
        changes="disk; exactness of a resumed run",
    )
    save_on_each_node: bool = key(
        False,
        "Writes a checkpoint on every node's own disk instead of once on a shared one.",
        changes="disk",
        unhonoured="the first process writes it, whole, in the run's directory",
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
        ge=0,
    )
    namespace: str | None = key(
        None,
        "Name that keeps the tiers of several trainings apart; null is one of the run's own. "
        "Runs of one name go on from each other.",
        ignored="unless memory_tier or storage_tier is enabled",
        max_length=63,
    )
    memory_tier: MemoryTierConfig = Field(default_factory=MemoryTierConfig)
    storage_tier: StorageTierConfig = Field(default_factory=StorageTierConfig)
