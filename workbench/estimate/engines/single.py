"""The ledger of one device; the copies of DDP differ from it in where gradients live."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.estimate.engines.base import (
    Standing,
    buffer_lines,
    moment,
    parts_with_weights,
    sizes_of,
)
from workbench.estimate.engines.inputs import input_lines
from workbench.estimate.engines.plan import moments_of, row_of
from workbench.estimate.engines.single_plan import Shape, drawn
from workbench.estimate.engines.single_plan import left_by as drawn_left_by
from workbench.estimate.engines.states import state_lines, update_lines
from workbench.estimate.ledger import Line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.estimate.engines.base import Part
    from workbench.estimate.engines.plan import Extra
    from workbench.estimate.engines.states import Updates
    from workbench.estimate.ledger import Moment
    from workbench.estimate.network.network import Sized


def standing(net: Sized, updates: Updates, *, accumulating: bool, gradients: str) -> Standing:
    """Weights, optimizer and inputs, and gradients where those of earlier micro-batches wait."""
    lines = []
    source = "fp32 masters" if updates.rounding is None else "matrices in bf16, all else in fp32"
    for of, part, times in parts_with_weights(net):
        many = "" if times == 1 else f"{times} × "
        size = times * sizes_of(net, part).weights
        bytes_each = "4" if updates.rounding is None else "2 or 4"
        formula = f"{many}{bytes_each} P"
        lines.append(Line(f"weights of {of}", formula, size, "weights", source))
        if accumulating:
            size = times * sizes_of(net, part).trained
            lines.append(Line(f"gradients of {of}", formula, size, "gradients", gradients))
    lines += buffer_lines(net)
    lines += state_lines(net, updates)
    lines += input_lines(net)
    return Standing.of(*lines)


def moments(
    net: Sized,
    base: Standing,
    *,
    updates: Updates,
    waiting: bool = False,
    buckets: tuple[Line, ...] = (),
    updated: bool = True,
    at_update: Standing | None = None,
) -> list[Moment]:
    """The moments of a step on one device.

    Args:
        net: The network.
        base: What stands.
        updates: How weights are updated.
        waiting: Whether gradients of an earlier micro-batch lie beside what stands, each until
            that of the last one has been added.
        buckets: What is there from the first gradient to the end of the backward pass.
        updated: Whether to give the moment of the update.
        at_update: What stands then; None: what stands all the time.
    """
    behind = tuple([each.behind > 0 for each in net.blocks])
    plan, lasting = drawn(Shape(net.runs, net.middle, behind, waiting, bool(buckets)))
    own = (sum([line.bytes for line in buckets]),) if buckets else ()

    def explain(_row: Sequence[int], _extra: Extra) -> list[Line]:
        return [*buckets]

    found = moments_of(plan, row_of(net, own, ()), net, base, explain)
    if updated:
        lines = update_lines(net, updates)
        found.append(moment("optimizer", net, at_update or base, [*lasting], lines))
    return found


def left_by(net: Sized, kind: int, count: int) -> list[Part]:
    """What so many blocks have left behind."""
    return drawn_left_by(kind, count, behind=net.blocks[kind].behind > 0)
