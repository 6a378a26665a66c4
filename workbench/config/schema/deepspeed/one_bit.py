"""`deepspeed.one_bit`: the 1-bit optimizers, which current DeepSpeed no longer has."""

from __future__ import annotations

from typing import Literal

from workbench.config.schema.base import Section, Whole, key


class OneBitConfig(Section):
    """Gradients sent as signs after a first phase in full precision."""

    UNHONOURED = "DeepSpeed removed the 1-bit optimizers in September 2026"
    NEEDS = "deepspeed.enabled"

    freeze_step: Whole = key(
        100_000,
        "Steps in full precision before the compression begins.",
        unit="optimizer steps",
        changes="traffic against quality",
        ge=0,
    )
    cuda_aware: bool = key(False, "The MPI library can read a GPU's memory by itself.")
    comm_backend_name: Literal["nccl", "mpi"] = key(
        "nccl", "Library that carries the compressed gradients."
    )
