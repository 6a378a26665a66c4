"""Whether a plan fits a device: what it takes, and what the device has for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.config.offload import optimizer_place, parameters_place
from workbench.estimate.fit.result import Need
from workbench.estimate.memory import memory_of
from workbench.estimate.traffic import engine_of

if TYPE_CHECKING:
    from workbench.config.profile import HardwareProfile
    from workbench.config.schema import Config
    from workbench.estimate.memory import Memory

_NOWHERE = ("none", "none")


def need_of(memory: Memory, context: int | None = None, *, host: bool = True) -> Need:
    """What a plan takes of its device, as close to what a driver shows as the ledger knows.

    Args:
        memory: What the ledger says.
        context: Bytes that a process was seen to take beside what torch holds; None: not measured.
        host: Whether to ask for the host's memory, too.
    """
    beside = sum(line.bytes for line in memory.host) if host else None
    held = memory.reserved
    if held is None and context is None:
        return Need(memory.allocated, "allocated", beside)
    if context is None:
        context = sum(line.bytes for line in memory.process_lines)
    return Need((memory.allocated if held is None else held) + context, "process", beside)


@dataclass(slots=True)
class Judge:
    """Judges plans for one kind of device, and counts.

    Attributes:
        hardware: The device.
        capacity: Its bytes; None where they are not known.
        margin: Part of it to leave free.
        context: Bytes that a process was seen to take beside what torch holds.
        computed: Plans whose memory has been computed.
        remembers: Whether it will be asked of the same plans again: a search is not.
    """

    hardware: HardwareProfile | None
    capacity: int | None
    margin: float
    context: int | None = None
    computed: int = 0
    remembers: bool = False

    @property
    def usable(self) -> int | None:
        """Bytes that a plan may take."""
        return None if self.capacity is None else int(self.capacity * (1 - self.margin))

    @property
    def host_usable(self) -> int | None:
        """Bytes of host memory that the devices of a node may take together."""
        host = None if self.hardware is None else self.hardware.host_memory_bytes
        return None if host is None else int(host * (1 - self.margin))

    def need(self, config: Config) -> Need:
        """What a plan takes; of the host only where the plan leans on it."""
        self.computed += 1
        memory = memory_of(config, self.hardware, remembered=self.remembers)
        return need_of(memory, self.context, host=leans_on_host(config))

    def headroom(self, need: Need) -> int | None:
        """What is left of the device; negative where it lacks bytes."""
        return None if self.usable is None else self.usable - need.bytes

    def fits(self, need: Need) -> bool | None:
        """Whether a plan fits its device, and its host; None where no size is known."""
        headroom = self.headroom(need)
        if headroom is None:
            return None
        return headroom >= 0 and not self.host_lacks(need)

    def host_lacks(self, need: Need) -> bool:
        """Whether a node takes more host memory than it has, as far as both are known."""
        if need.host is None or self.host_usable is None:
            return False
        return need.host > self.host_usable


def leans_on_host(config: Config) -> bool:
    """Whether optimizer, parameters or activations wait in host memory."""
    if engine_of(config) == "fsdp":
        return config.fsdp.cpu_offload or config.fsdp.offload_activations
    section = config.deepspeed
    return section.enabled and (optimizer_place(section), parameters_place(section)) != _NOWHERE
