"""`deepspeed.offload_param`: the parameters in host memory or on NVMe, with ZeRO stage 3."""

from __future__ import annotations

from typing import Literal

from workbench.config.schema.base import Section, Whole, key

_NVME = "unless device is nvme"


class OffloadParamConfig(Section):
    """Where they are kept, and how they travel."""

    NEEDS = "deepspeed.enabled"

    device: Literal["none", "cpu", "nvme"] | None = key(
        None,
        "Where parameters wait; null follows cpu_offload and nvme_offload.",
        changes="device memory: 2 bytes per parameter leave it",
        ignored="unless zero_stage is 3",
    )
    nvme_path: str | None = key(None, "Folder on the NVMe drive for the parameters.", ignored=_NVME)
    pin_memory: bool = key(
        True,
        "Uses host memory that a GPU can reach by itself.",
        changes="speed; memory that cannot be swapped out",
    )
    buffer_count: Whole = key(
        5, "Buffers between drive and host memory.", unit="buffers", ignored=_NVME, ge=1
    )
    buffer_size: Whole = key(
        100_000_000,
        "Parameter elements that one buffer holds.",
        unit="elements",
        ignored=_NVME,
        ge=1,
    )
    max_in_cpu: Whole = key(
        1_000_000_000,
        "Parameter elements that stay in host memory in front of the drive.",
        unit="elements",
        changes="host memory",
        ignored=_NVME,
        ge=0,
    )
