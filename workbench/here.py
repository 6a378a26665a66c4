"""Whether a plan can be trained on this machine, and why not."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from workbench.config.profile import HardwareProfile
    from workbench.config.schema import Config
    from workbench.plan import Plan


@cache
def _here() -> tuple[HardwareProfile, int]:
    """The device of this machine, and how many of them there are."""
    from workbench.hardware.detect import detect
    from workbench.hardware.here import with_memory

    hardware = with_memory(None)
    return hardware, sum(each.profile == hardware.name for each in detect().devices)


def fits_here(plan: Plan) -> bool | None:
    """Whether the devices of this machine are enough for a plan; None where nobody knows.

    The processes of a CPU share its memory; every other device has its own.
    """
    from workbench.estimate.estimate import Estimate

    config = plan.typed
    if config is None:
        return None
    hardware, cards = _here()
    asked = plan.hardware
    if asked is not None and asked.kind != hardware.kind:
        return False
    processes = config.parallel.num_nodes * config.parallel.devices_per_node
    if config.parallel.num_nodes > 1 or (cards and processes > cards):
        return False
    try:
        estimate = Estimate.of(config, hardware)
        if cards or processes == 1 or estimate.capacity is None:
            return estimate.fits
        return processes * estimate.needed <= estimate.capacity
    except (WorkbenchError, ArithmeticError, LookupError, ValueError):
        return None  # the recipe's own page says what is wrong with it


def why_not_here(config: Config, hardware: HardwareProfile | None) -> str | None:
    """Why this machine is not the one that a plan is made for; None where it is."""
    here, cards = _here()
    parallel = config.parallel
    if parallel.num_nodes > 1:
        return f"the plan is for {parallel.num_nodes} machines"
    if hardware is None:
        return None
    devices = parallel.devices_per_node
    there = "" if here.kind == "cpu" else f"{cards} × "
    if hardware.kind != here.kind or (hardware.kind != "cpu" and hardware.name != here.name):
        has = f"{there}{here.title}"
        return f"the plan is for {devices} × {hardware.title}, and this machine has {has}"
    if cards and devices > cards:
        return f"the plan is for {devices} devices, and this machine has {cards}"
    return None
