"""What a rule may know about hardware: an argument, never a look at this machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["cuda", "rocm", "cpu", "tenstorrent"]
Precision = Literal["fp32", "tf32", "fp16", "bf16", "fp8", "nvfp4"]


@dataclass(frozen=True, slots=True)
class HardwareProfile:
    """One kind of device, in the node that it usually comes in.

    Attributes:
        name: The name that `run.hardware` takes, ``h100_80gb``.
        title: The vendor's name.
        kind: What drives it.
        memory_bytes: Memory of one device; None where it is the host's, whose size varies.
        precisions: Number formats that it multiplies matrices in.
        compute_capability: NVIDIA's number for its features, ``(9, 0)``; None for other vendors.
        devices_per_node: Devices of the usual node.
        meshes: Grids that the devices of a node can form; empty where any will do.
        sources: Where each figure comes from, by its name in the file.
    """

    name: str
    title: str
    kind: Kind
    memory_bytes: int | None
    precisions: frozenset[str]
    compute_capability: tuple[int, int] | None
    devices_per_node: int
    meshes: tuple[tuple[int, int], ...] = ()
    sources: dict[str, str] = field(default_factory=dict)

    def computes(self, precision: str) -> bool:
        """Whether it multiplies matrices in this format; ``no`` and ``auto`` always work."""
        return precision in ("no", "auto") or precision in self.precisions
