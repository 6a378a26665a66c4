"""What a rule may know about hardware: an argument, never a look at this machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["cuda", "rocm", "cpu", "tenstorrent", "apple"]
Precision = Literal["fp32", "tf32", "fp16", "bf16", "fp8", "nvfp4"]


@dataclass(frozen=True, slots=True)
class HardwareProfile:
    """One kind of device, in the node that it usually comes in.

    A figure that is None is not known, and nothing is derived from it. Bandwidths are bytes per
    second in one direction.

    Attributes:
        name: The name that `run.hardware` takes, ``h100_80gb``.
        title: The vendor's name.
        kind: What drives it.
        memory_bytes: Memory of one device; None where it is the host's, whose size varies.
        precisions: Number formats that it multiplies matrices in.
        compute_capability: NVIDIA's number for its features, ``(9, 0)``; None for other vendors.
        devices_per_node: Devices of the usual node.
        meshes: Grids that the devices of a node can form; empty where any will do.
        peak_flops: FLOP/s of one device by number format, dense: without structured sparsity.
        memory_bandwidth: Of the device's own memory.
        link_bandwidth: Of one device to the others of its node.
        pcie_bandwidth: Of one device to its host.
        network_bandwidth: Of a node to other nodes.
        host_memory_bytes: Memory of the host of a node.
        watts: Power of one device under load.
        price_per_hour: Dollars for one device.
        base: The profile that this one begins with: the card in a cloud's instance.
        price_date: The day the price was true, ``2026-05-07``.
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
    peak_flops: dict[str, float] = field(default_factory=dict)
    memory_bandwidth: float | None = None
    link_bandwidth: float | None = None
    pcie_bandwidth: float | None = None
    network_bandwidth: float | None = None
    host_memory_bytes: int | None = None
    watts: float | None = None
    price_per_hour: float | None = None
    price_date: str | None = None
    base: str | None = None
    sources: dict[str, str] = field(default_factory=dict)

    def computes(self, precision: str) -> bool:
        """Whether it multiplies matrices in this format; ``no`` and ``auto`` always work."""
        return precision in ("no", "auto") or precision in self.precisions
