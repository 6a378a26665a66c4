"""`deepspeed.activation_checkpointing`: DeepSpeed's own way to keep fewer activations."""

from __future__ import annotations

from workbench.config.schema.base import Section, Whole, key

_NO_BUFFER = "blocks are recomputed by PyTorch, which has no such buffer"


class ActivationCheckpointingConfig(Section):
    """Where the kept activations go; training.gradient_checkpointing turns it on."""

    NEEDS = "deepspeed.enabled"

    partition_activations: bool = key(
        False,
        "Shards kept activations over the tensor-parallel devices.",
        changes="activation memory",
        ignored="with parallel.tensor_parallel_size: 1",
        unhonoured="there are no tensor-parallel devices so far",
    )
    cpu_checkpointing: bool = key(
        False,
        "Moves kept activations to host memory.",
        changes="activation memory against traffic",
        needs="training.gradient_checkpointing",
    )
    contiguous_memory_optimization: bool = key(
        False,
        "Keeps them in one buffer, against fragmented memory.",
        needs="deepspeed.activation_checkpointing.partition_activations",
        unhonoured=_NO_BUFFER,
    )
    number_checkpoints: Whole | None = key(
        None,
        "How many activations that buffer has room for; null means one per block.",
        unit="activations",
        needs="deepspeed.activation_checkpointing.contiguous_memory_optimization",
        ge=1,
        unhonoured=_NO_BUFFER,
    )
    synchronize_checkpoint_boundary: bool = key(
        False,
        "Waits for the device at each kept activation.",
        changes="slower steps",
        unhonoured="blocks are recomputed by PyTorch, which does not wait",
    )
    profile: bool = key(
        False,
        "Writes how long keeping and computing again take.",
        changes="files",
        unhonoured="blocks are recomputed by PyTorch, which does not measure it",
    )
