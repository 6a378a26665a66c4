"""Memory of one device: the moments of a step, and the largest of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workbench.estimate.disk import disk_lines
from workbench.estimate.engines.choose import ledger_of
from workbench.estimate.host import host_lines, nvme_lines
from workbench.estimate.planned import device_config, in_flight, is_divided, notes_of
from workbench.estimate.reserved import process_lines, reserved_of
from workbench.estimate.setting import Setting

if TYPE_CHECKING:
    from workbench.config.profile import HardwareProfile
    from workbench.config.schema import Config
    from workbench.estimate.engines.choose import Ledger
    from workbench.estimate.ledger import Line, Moment


@dataclass(frozen=True, slots=True)
class Memory:
    """What one device has to hold.

    Attributes:
        setting: How the config is trained.
        moments: Every moment that can be the largest, in the order of a step.
        peak: The largest of them.
        capacity: Memory of the device; None where it is not known.
        config: What is trained.
        hardware: The device; None is this machine's CPU.
        ledger: What everything follows from.
    """

    setting: Setting
    moments: tuple[Moment, ...]
    peak: Moment
    capacity: int | None
    config: Config = field(repr=False, compare=False)
    hardware: HardwareProfile | None = field(repr=False, compare=False)
    ledger: Ledger = field(repr=False, compare=False)
    _pools: list[int] = field(default_factory=list, repr=False, compare=False)
    _on_host: list[tuple[Line, ...]] = field(default_factory=list, repr=False, compare=False)

    @property
    def allocated(self) -> int:
        """Bytes that tensors take at the peak."""
        return self.peak.bytes

    @property
    def reserved(self) -> int | None:
        """Bytes of the pools of PyTorch's allocator; None on a CPU, which has none."""
        if self.setting.cpu:
            return None
        if not self._pools:  # one plan is put on many cards (`what_if`)
            self._pools.append(reserved_of(self.moments))
        return self._pools[0]

    @property
    def process_lines(self) -> tuple[Line, ...]:
        """What the process takes on the device beside them."""
        if self.hardware is None:
            return ()
        return process_lines(self.hardware, devices=self.setting.devices)

    @property
    def process(self) -> int | None:
        """Bytes that the process takes on the device: what has to fit; None on a CPU."""
        if self.reserved is None:
            return None
        return self.reserved + sum(line.bytes for line in self.process_lines)

    @property
    def host(self) -> tuple[Line, ...]:
        """Memory of the first node's host, without what processes need to start."""
        if not self._on_host:
            self._on_host.append(host_lines(self.config, self.ledger))
        return self._on_host[0]

    @property
    def nvme(self) -> tuple[Line, ...]:
        """Files on the NVMe drives of a node."""
        return nvme_lines(self.config, self.ledger)

    @property
    def disk(self) -> tuple[Line, ...]:
        """Checkpoints on disk."""
        return disk_lines(self.config, self.ledger)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the figures rest on, where it is not the trainer's own code."""
        return notes_of(self.config)

    def to_dict(self) -> dict[str, Any]:
        """The memory with the lines of its peak, as JSON-ready data."""
        return {
            "strategy": self.setting.strategy,
            "precision": self.setting.precision,
            "recompute": self.setting.recompute,
            "allocated": self.allocated,
            "reserved": self.reserved,
            "process": self.process,
            "capacity": self.capacity,
            "notes": list(self.notes),
            "moments": {moment.name: moment.bytes for moment in self.moments},
            "peak": self.peak.to_dict(),
            "process_lines": [line.to_dict() for line in self.process_lines],
            "host": [line.to_dict() for line in self.host],
            "nvme": [line.to_dict() for line in self.nvme],
            "disk": [line.to_dict() for line in self.disk],
        }


def memory_of(
    config: Config, hardware: HardwareProfile | None = None, *, remembered: bool = True
) -> Memory:
    """The memory of one device.

    Args:
        config: The config.
        hardware: The device; None is this machine's CPU.
        remembered: Whether to remember it for plans that take the same.
    """
    setting = Setting.of(config, hardware)
    if is_divided(config):
        own = device_config(config)
        ledger = ledger_of(own, Setting.of(own, hardware), remembered=remembered)
        moments = in_flight(config, ledger.net, ledger.standing, ledger.moments)
    else:
        ledger = ledger_of(config, setting, remembered=remembered)
        moments = ledger.moments
    peak = max(moments, key=lambda moment: moment.bytes)
    capacity = None if hardware is None else hardware.memory_bytes
    return Memory(setting, tuple(moments), peak, capacity, config, hardware, ledger)
