"""The ledger of one device; the copies of DDP differ from it in where gradients live.

The moments, from the first block's forward pass to the update. Between blocks of one kind memory
moves in a straight line, so its first and its last block are enough: on the way forward only the
last, for nothing is freed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.estimate.engines.base import (
    Part,
    Standing,
    buffer_lines,
    moment,
    notable_runs,
    parts_with_weights,
    sizes_of,
)
from workbench.estimate.engines.inputs import input_lines
from workbench.estimate.engines.states import state_lines, update_lines
from workbench.estimate.ledger import Line

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.estimate.engines.states import Updates
    from workbench.estimate.ledger import Moment
    from workbench.estimate.network.network import Sized


BETWEEN = "between the stacks"
"""What moments call the kind that stands among the blocks and is none."""


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
    waiting: tuple[Part, ...] = (),
    buckets: tuple[Line, ...] = (),
    kept: Callable[[int], tuple[Line, ...]] | None = None,
    updated: bool = True,
    at_update: Standing | None = None,
) -> list[Moment]:
    """The moments of a step on one device.

    Args:
        net: The network.
        base: What stands.
        updates: How weights are updated.
        waiting: Gradients, from the front to the tail, that lie beside what stands until those of
            the last micro-batch have been added.
        buckets: What is there from the first gradient to the end of the backward pass.
        kept: What is there beside them when gradients of so many numbers have yet to come.
        updated: Whether to give the moment of the update.
        at_update: What stands then; None: what stands all the time.
    """
    runs = net.runs
    total = done = sum(count for kind, count in runs if kind != net.middle)
    found = [moment("embedding, forward", net, base, [Part("front", "forward"), *waiting])]
    before: list[Part] = [Part("front", "saved")]
    place = 0
    notable = notable_runs(runs)
    for index, (kind, count) in enumerate(runs):
        place += 0 if kind == net.middle else count
        if index in notable:
            parts = [*before, Part(kind, "saved", count - 1), Part(kind, "forward"), *waiting]
            name = BETWEEN if kind == net.middle else f"block {place} of {total}"
            found.append(moment(f"{name}, forward", net, base, parts))
        before.append(Part(kind, "saved", count))
    left = list(waiting[:-1])  # the others are among the moments of their own backward pass
    found.append(moment("loss", net, base, [*before, Part("tail", "forward"), *waiting]))
    found.append(moment("loss, backward", net, base, [*before, Part("tail", "backward"), *left]))
    if buckets:
        parts = [*before, Part("tail", "arrival")]
        found.append(moment("first gradients", net, base, parts, buckets))
    after: list[Part] = [Part("tail", "gradients")]
    coming = net.front.numbers + sum(count * net.blocks[kind].numbers for kind, count in runs)
    for index in range(len(runs) - 1, -1, -1):
        kind, count = runs[index]
        before.pop()
        each = net.blocks[kind].numbers
        coming -= count * each
        others = [Part(kind, "trained", count - 1)] if left else []
        left = left[:-1]
        if index not in notable:
            after += left_by(net, kind, count)
            done -= count
            continue
        parts = [*before, Part(kind, "saved", count - 1), Part(kind, "backward"), *after]
        name = BETWEEN if kind == net.middle else f"block {done} of {total}"
        lines = (*buckets, *kept(coming + count * each)) if kept else buckets
        found.append(moment(f"{name}, backward", net, base, [*parts, *left, *others], lines))
        if count > 1:
            parts = [*before, Part(kind, "backward"), *after, *left_by(net, kind, count - 1)]
            name = f"block {done - count + 1} of {total}, backward"
            lines = (*buckets, *kept(coming + each)) if kept else buckets
            found.append(moment(name, net, base, [*parts, *left], lines))
        after += left_by(net, kind, count)
        done -= 0 if kind == net.middle else count
    parts = [Part("front", "backward"), *after]
    lines = (*buckets, *kept(coming)) if kept else buckets
    found.append(moment("embedding, backward", net, base, parts, lines))
    if not updated:
        return found
    # Gradients of the embedding that waited between the stacks are part of its own by now.
    lasting = [
        part._replace(group="lasting") if part.segment == net.middle else part
        for part in after[1:]
        if part.group != "behind"
    ]
    parts = [Part("front", "lasting"), Part("tail", "lasting"), *lasting]
    found.append(moment("optimizer", net, at_update or base, parts, update_lines(net, updates)))
    return found


def left_by(net: Sized, kind: int, count: int) -> list[Part]:
    """What so many blocks have left behind."""
    found = [Part(kind, "gradients", count)]
    if net.blocks[kind].behind:
        found.append(Part(kind, "behind", count))
    return found
