"""The ledger of FSDP2 on one of N devices, as `torch.distributed.fsdp.fully_shard` works."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from workbench.estimate.engines.base import (
    Standing,
    buffer_lines,
    moment,
    parts_with_weights,
    sizes_of,
)
from workbench.estimate.engines.fsdp_forward import Shape
from workbench.estimate.engines.fsdp_plan import plan_of
from workbench.estimate.engines.fsdp_units import SOURCE, Units
from workbench.estimate.engines.inputs import input_lines
from workbench.estimate.engines.plan import moments_of, row_of
from workbench.estimate.engines.states import state_lines, update_lines
from workbench.estimate.ledger import Line

if TYPE_CHECKING:
    from workbench.estimate.engines.fsdp_units import Travel
    from workbench.estimate.engines.states import Updates
    from workbench.estimate.ledger import Moment
    from workbench.estimate.network.network import Sized


_HOST = "workbench/training/engines/host.py"


def standing(net: Sized, updates: Updates, travel: Travel, *, on_host: bool) -> Standing:
    """This device's part of weights and optimizer, the inputs, and gradients that wait.

    Args:
        net: The network.
        updates: How weights are updated.
        travel: How weights and gradients travel.
        on_host: Whether the shards, and all that belongs to them, are in the host's memory.
    """
    lines = []
    shards = net.symbols[1]
    for of, part, times in parts_with_weights(net):
        many = "" if times == 1 else f"{times} × "
        size = times * sizes_of(net, part).shard
        formula = f"{many}4 P/N"
        lines.append(Line(f"shards of {of}", formula, size, "weights", "fp32 masters"))
        if travel.accumulating or travel.apart:
            name = f"gradients of the shards of {of}"
            size = times * sizes_of(net, part).trained_shard
            lines.append(Line(name, formula, size, "gradients", SOURCE))
    lines += state_lines(net, updates, shards=shards)
    if on_host:
        lines = [replace(line, stream="host") for line in lines]
    lines += buffer_lines(net)
    lines += input_lines(net)
    found = Standing.of(*lines, apart=travel.apart)
    away = _away(net)
    return replace(found, host=(*found.host, away)) if away.bytes else found


def _away(net: Sized) -> Line:
    """Activations that wait in the host's memory."""
    size = net.front.away + net.tail.away
    size += sum(count * net.blocks[kind].away for kind, count in net.runs)
    name, formula = "activations, pinned", "powers of two of each that is kept"
    return Line(name, formula, size, "activations", _HOST, "host")


def moments(
    net: Sized, base: Standing, *, updates: Updates, travel: Travel, reshard: bool
) -> list[Moment]:
    """The moments of a step.

    Args:
        net: The network.
        base: What stands.
        updates: How weights are updated.
        travel: How weights and gradients travel.
        reshard: Whether weights are given back after the forward pass.
    """
    routed = tuple(each.forward_late > 0 for each in net.blocks)
    plan = plan_of(Shape(net.runs, net.middle, routed, reshard, travel.heads > 0))
    units = Units(net, travel)
    row = row_of(net, units.own(), units.each())
    found = moments_of(plan, row, net, base, partial(units.explain, plan.layout))
    gradients = units.gradients() if not (travel.accumulating or travel.apart) else ()
    extra = (*gradients, *update_lines(net, updates, shards=net.symbols[1]))
    found.append(moment("optimizer", net, base, [], extra))
    return found
