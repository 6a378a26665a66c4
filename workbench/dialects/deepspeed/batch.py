"""DeepSpeed's batch rule, and the devices that it implies.

``train_batch_size = train_micro_batch_size_per_gpu × gradient_accumulation_steps × world size``;
any two of the first three give the third, and one alone means an accumulation of 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.dialects.base import Remark
from workbench.dialects.building import ABSENT, NoPlace
from workbench.dialects.deepspeed.identity import triple
from workbench.dialects.deepspeed.judging import BATCH
from workbench.dialects.deepspeed.refusals import refusals
from workbench.dialects.fitting import fit

if TYPE_CHECKING:
    from workbench.dialects.building import Builder

_PER_NODE = 8
_OURS = ("global_batch_size", "batch_size", "gradient_accumulation_steps")


def read_batch(builder: Builder) -> int:
    """Understand the batch; the devices that it implies are an assumption.

    Returns:
        The number of devices: what the three figures imply, else 1.
    """
    whole, micro, steps = given = tuple(_figure(builder, name) for name in BATCH)
    world = _implied(whole, micro, steps)
    figures: tuple[Any, ...] = (None, None, None)
    if whole is not None or micro is not None:
        figures = triple(whole, micro, steps, world)
    for name, ours, said, derived in zip(BATCH, _OURS, given, figures, strict=True):
        if builder.has(name) and said is not None:
            builder.put(f"training.{ours}", said, source=name)
        elif builder.has(name):
            builder.keep(name, _why(builder.value(name)))
        elif derived is not None and derived >= 1 and ours != "global_batch_size":
            builder.put(f"training.{ours}", int(derived))
            builder.assume(name, f"{int(derived)}: DeepSpeed derives it for {_devices(world)}")
    if world > 1 or _degrees(builder) > 1:
        _spread(builder, world)
    elif given[0] is not None and None in given:
        builder.assume(
            BATCH[0],
            "1 device: the file does not say how many there are; name a hostfile along with it, or "
            "set parallel.devices_per_node",
        )
    return world


def _figure(builder: Builder, name: str) -> int | None:
    value = builder.value(name)
    if value is ABSENT or value is None or isinstance(value, str):
        return None
    try:
        figure: int = fit("training.batch_size", value)
    except NoPlace:
        return None
    return figure


def _why(value: Any) -> str:
    if value == "auto":
        return "auto: Hugging Face's Trainer fills it in; by itself it says nothing"
    return f"{value!r} is no number of sequences"


def _implied(whole: int | None, micro: int | None, steps: int | None) -> int:
    if whole is None or micro is None or steps is None or whole % (micro * steps):
        return 1
    return whole // (micro * steps)


def _spread(builder: Builder, world: int) -> None:
    """Put the implied devices into nodes of eight, as most machines have them."""
    degrees = _degrees(builder)
    devices = world * degrees
    nodes = devices // _PER_NODE if devices > _PER_NODE and devices % _PER_NODE == 0 else 1
    builder.put("parallel.num_nodes", nodes)
    builder.put("parallel.devices_per_node", devices // nodes)
    where = "" if nodes == 1 else f", {nodes} nodes of {devices // nodes}"
    if world == 1:
        builder.assume((), f"{_devices(devices)}: the fewest that these degrees need")
        return
    builder.assume(
        BATCH[0],
        f"{_devices(devices)}{where}: the batch figures hold for "
        f"{'this number' if degrees == 1 else f'{world} data-parallel groups'} only",
    )


def _degrees(builder: Builder) -> int:
    """Devices that work on the same sequences."""
    degrees = 1
    for degree in ("tensor", "pipeline", "context"):
        degrees *= builder.ours(f"parallel.{degree}_parallel_size", 1)
    return degrees


def _devices(count: int) -> str:
    return "1 device" if count == 1 else f"{count} devices"


def mismatch(values: dict[str, Any]) -> list[Remark]:
    """What DeepSpeed says where the batch does not fit the devices; all keys are ours, by path."""
    tree = {
        theirs: values.get(f"training.{ours}") for theirs, ours in zip(BATCH, _OURS, strict=True)
    }
    world = values.get("parallel.num_nodes", 1) * values.get("parallel.devices_per_node", 1)
    for degree in ("tensor", "pipeline", "context"):
        world //= values.get(f"parallel.{degree}_parallel_size", 1)
    if None in tree.values():
        return []
    return [
        Remark(".".join(refusal.path), "upstream", refusal.message, "refused")
        for refusal in refusals(tree, max(1, world))
    ]
