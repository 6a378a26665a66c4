"""The device that a plan is reckoned for where none is named: this machine's."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from workbench.hardware.detect import detect
from workbench.hardware.devices import device

if TYPE_CHECKING:
    from workbench.config.profile import HardwareProfile


def with_memory(hardware: HardwareProfile | None) -> HardwareProfile:
    """The device with its memory: the one that is named, else this machine's.

    A CPU's memory is that of this machine, whatever profile names it; and it computes in bf16 where
    its instructions do, as the trainer decides.
    """
    if hardware is not None and (hardware.kind != "cpu" or hardware.memory_bytes is not None):
        return hardware
    machine = detect()
    if hardware is None:
        hardware = device(machine.profile)
        found = next((each for each in machine.devices if each.profile == hardware.name), None)
        if found is not None and found.memory_bytes is not None:  # as the driver counts it
            return replace(hardware, memory_bytes=found.memory_bytes)
    if hardware.kind != "cpu":
        return hardware
    precisions = hardware.precisions if machine.native_bf16 else hardware.precisions - {"bf16"}
    return replace(
        hardware, title=machine.cpu, memory_bytes=machine.memory_bytes, precisions=precisions
    )
