"""What a proposal changes, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.config.degrees import Degrees
from workbench.estimate.fit.pace import recomputation
from workbench.estimate.fit.variants import sharding_name

if TYPE_CHECKING:
    from workbench.config.schema import Config

RECOMPUTE = {
    "none": "no recompute",
    "selective": "selective recompute",
    "block": "block recompute",
}


def changes(plan: Config, config: Config) -> tuple[str, ...]:
    """What differs between a plan and a proposal, a few words for each."""
    found = []
    before, after = plan.training, config.training
    old = before.batch_size, before.gradient_accumulation_steps
    new = after.batch_size, after.gradient_accumulation_steps
    if old != new:
        found.append(f"batch {new[0]} × {new[1]} instead of {old[0]} × {old[1]}")
    devices = Degrees.of(plan).devices, Degrees.of(config).devices
    if devices[0] != devices[1]:
        found.append(f"{devices[1]} devices instead of {devices[0]}")
    if plan.run.hardware != config.run.hardware and config.run.hardware is not None:
        found.append(config.run.hardware)
    if (name := sharding_name(config)) != sharding_name(plan):
        found.append(name)
    if (kind := recomputation(config)) != recomputation(plan):
        found.append(RECOMPUTE[kind])
    if before.mixed_precision != after.mixed_precision:
        found.append(after.mixed_precision)
    if before.optimizer != after.optimizer:
        found.append(after.optimizer)
    if plan.data.max_length != config.data.max_length:
        found.append(f"{config.data.max_length:,} tokens instead of {plan.data.max_length:,}")
    return tuple(found)
