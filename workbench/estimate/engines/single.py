"""The ledger of one device; the copies of DDP differ from it in where gradients live.

The moments, from the first block's forward pass to the update. Between blocks of one kind memory
moves in a straight line, so its first and its last block are enough: on the way forward only the
last, for nothing is freed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.estimate.engines.base import Part, Standing, moment, segment_of, sizes_of
from workbench.estimate.ledger import Line

if TYPE_CHECKING:
    from workbench.estimate.ledger import Moment
    from workbench.estimate.network.network import Sized
    from workbench.estimate.optimizer import Rule

INPUTS = "the batch as the trainer puts it on the device: int64"


def weights_of(net: Sized) -> list[tuple[str, str | int, int]]:
    """(what, segment, how often) of everything that has weights."""
    counts: dict[int, int] = {}
    for kind, count in net.runs:
        counts[kind] = counts.get(kind, 0) + count
    blocks = [(net.network.blocks[kind].name, kind, count) for kind, count in counts.items()]
    return [("embedding", "front", 1), *blocks, ("output", "tail", 1)]


def standing(net: Sized, rule: Rule, *, accumulating: bool, gradients: str) -> Standing:
    """Weights, optimizer and inputs, and gradients where those of earlier micro-batches wait."""
    lines = []
    alignment = net.symbols[0]
    counter = -(-4 // alignment) * alignment
    for what, segment, times in weights_of(net):
        sizes = sizes_of(net, segment)
        if not sizes.weights:
            continue
        of = what if times == 1 else f"{times} {what}s"
        many = "" if times == 1 else f"{times} × "
        weights = times * sizes.weights
        lines.append(Line(f"weights of {of}", f"{many}4 P", weights, "weights", "fp32 masters"))
        if rule.copies:
            state = round(rule.copies * weights)
            formula = f"{many}{4 * rule.copies:g} P"
            lines.append(
                Line(f"optimizer of {of}: {rule.text}", formula, state, "optimizer", "fp32")
            )
        if rule.counters:
            tensors = times * tensors_of(net, segment) * rule.counters
            lines.append(
                Line(
                    f"step counters of {of}",
                    f"{tensors} × 4 B, rounded up",
                    tensors * counter,
                    "optimizer",
                    "torch.optim keeps one per tensor",
                )
            )
        if accumulating:
            lines.append(Line(f"gradients of {of}", f"{many}4 P", weights, "gradients", gradients))
    tokens = net.symbols[2] * net.symbols[3]
    each = -(-8 * tokens // alignment) * alignment
    lines.append(Line("tokens and targets", "2 × 8 B T", 2 * each, "inputs", INPUTS))
    return Standing.of(*lines)


def tensors_of(net: Sized, segment: str | int) -> int:
    """Number of weight tensors of a part."""
    return len(segment_of(net, segment).parameters)


def moments(net: Sized, base: Standing, *, waiting: tuple[Part, ...] = ()) -> list[Moment]:
    """The moments of a step on one device.

    Args:
        net: The network.
        base: What stands.
        waiting: Gradients, from the front to the tail, that lie beside what stands until those of
            the last micro-batch have been added.
    """
    runs = net.runs
    total = done = sum(count for _, count in runs)
    found = [moment("embedding, forward", net, base, [Part("front", "forward"), *waiting])]
    before: list[Part] = [Part("front", "saved")]
    place = 0
    for kind, count in runs:
        place += count
        parts = [*before, Part(kind, "saved", count - 1), Part(kind, "forward"), *waiting]
        found.append(moment(f"block {place} of {total}, forward", net, base, parts))
        before.append(Part(kind, "saved", count))
    left = list(waiting[:-1])  # the others are among the moments of their own backward pass
    found.append(moment("loss", net, base, [*before, Part("tail", "forward"), *waiting]))
    found.append(moment("loss, backward", net, base, [*before, Part("tail", "backward"), *left]))
    after: list[Part] = [Part("tail", "gradients")]
    for kind, count in reversed(runs):
        before.pop()
        others = [Part(kind, "weights", count - 1)] if left else []
        left = left[:-1]
        parts = [*before, Part(kind, "saved", count - 1), Part(kind, "backward"), *after]
        name = f"block {done} of {total}, backward"
        found.append(moment(name, net, base, [*parts, *left, *others]))
        if count > 1:
            parts = [*before, Part(kind, "backward"), Part(kind, "gradients", count - 1), *after]
            name = f"block {done - count + 1} of {total}, backward"
            found.append(moment(name, net, base, [*parts, *left]))
        after.append(Part(kind, "gradients", count))
        done -= count
    parts = [Part("front", "backward"), *after]
    found.append(moment("embedding, backward", net, base, parts))
    found.append(moment("optimizer", net, base, [Part("front", "gradients"), *after]))
    return found
