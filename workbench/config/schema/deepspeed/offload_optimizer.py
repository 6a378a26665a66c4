"""`deepspeed.offload_optimizer`: the optimizer's state in host memory or on NVMe."""

from __future__ import annotations

from typing import Literal

from workbench.config.schema.base import Section, Whole, key

_NVME = "unless device is nvme"


class OffloadOptimizerConfig(Section):
    """Where it is kept, and how it travels."""

    NEEDS = "deepspeed.enabled"

    device: Literal["none", "cpu", "nvme"] | None = key(
        None,
        "Where the optimizer lives; null follows cpu_offload and nvme_offload.",
        changes="device memory: 12 bytes per parameter leave it",
        ignored="with zero_stage: 0",
    )
    nvme_path: str | None = key(
        None, "Folder on the NVMe drive for the optimizer's state.", ignored=_NVME
    )
    pin_memory: bool = key(
        True,
        "Uses host memory that a GPU can reach by itself.",
        changes="speed; memory that cannot be swapped out",
    )
    buffer_count: Whole = key(
        4, "Buffers between drive and host memory.", unit="buffers", ignored=_NVME, ge=1
    )
    pipeline_read: bool = key(False, "Reads the next part while one is updated.", ignored=_NVME)
    pipeline_write: bool = key(False, "Writes the last part while one is updated.", ignored=_NVME)
    fast_init: bool = key(False, "Prepares the files on the drive faster.", ignored=_NVME)
    ratio: float = key(
        1.0,
        "Share of the parameters that is updated on the host.",
        changes="device memory against speed",
        ignored="unless zero_stage is 3",
        ge=0.0,
        le=1.0,
    )
    super_offload: bool = key(
        False, "Overlaps host and device work; made for GPUs with a fast link to the host."
    )
    cpuadam_cores_perc: float = key(
        0.8,
        "Share of the host's cores that the update may use.",
        needs="deepspeed.offload_optimizer.super_offload",
        gt=0.0,
        le=1.0,
    )
