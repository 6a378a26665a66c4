"""From what tensors take to what a card has to hold: the allocator's pools, and the process.

PyTorch's caching allocator has a pool of memory for each stream, and a pool never gives to another
one: what is reserved is the sum of each stream's own largest moment. Pieces come from the driver in
segments (c10/core/AllocatorConfig.h): 2 MiB for tensors below 1 MiB, 20 MiB below 10 MiB, and
multiples of 2 MiB above. Gaps between tensors are not counted.

The constants of a process are to be calibrated: this has not yet run on a GPU. `ava measure` finds
them for a machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.estimate.ledger import Line
from workbench.estimate.rounding import up

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workbench.config.profile import HardwareProfile
    from workbench.estimate.ledger import Moment

_MIB = 2**20
SEGMENT = 2 * _MIB
"""Bytes of the smallest piece that the allocator asks the driver for (`kSmallBuffer`)."""

CONTEXT = 450 * _MIB
"""CUDA's context with lazily loaded kernels: 300 to 600 MiB with CUDA 11.7 and later."""

NCCL = 600 * 10**6
"""NCCL's buffers of one communicator: 544 to 688 MB on 4 A100 (NVIDIA/nccl, issue 964)."""

_UNCALIBRATED = "to be calibrated, not yet run on a GPU"


def reserved_of(moments: Iterable[Moment]) -> int:
    """Bytes that the allocator's pools take after a step.

    Args:
        moments: Those of a step.
    """
    found = list(moments)
    compute = max([each.bytes - each.gather - each.reduce for each in found])
    gather = max([each.gather for each in found])
    reduce = max([each.reduce for each in found])
    # Small tensors have segments of their own.
    return sum(up(pool, SEGMENT) + SEGMENT for pool in (compute, gather, reduce) if pool)


def process_lines(hardware: HardwareProfile, *, devices: int) -> tuple[Line, ...]:
    """What a process takes on a GPU beside the allocator's pools.

    Args:
        hardware: The device.
        devices: Devices over all nodes.
    """
    if hardware.kind != "cuda":
        return ()
    hopper = hardware.compute_capability is not None and hardware.compute_capability >= (9, 0)
    workspace = 32 * _MIB if hopper else 8_519_680
    lines = [
        Line(
            "CUDA context", "300 to 600 MiB", CONTEXT, "process",
            f"CUDA 11.7 and later, lazy loading; {_UNCALIBRATED}",
        ),
        Line(
            "workspace of cuBLAS", "32 MiB from Hopper on, else 8.125 MiB",
            workspace, "process",
            f"parseChosenWorkspaceSize, ATen/cuda/CUDABlas.cpp; {_UNCALIBRATED}",
        ),
    ]  # fmt: skip
    if devices > 1:
        source = f"NVIDIA/nccl issue 964: 544 to 688 MB on 4 A100; {_UNCALIBRATED}"
        lines.append(Line("buffers of NCCL", "600 MB per communicator", NCCL, "process", source))
    return tuple(lines)
