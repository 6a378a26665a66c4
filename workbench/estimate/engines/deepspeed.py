"""The ledger of DeepSpeed on one of N devices: ZeRO stages 0 to 3 (`engines/deepspeed_*.py`).

In 16 bits all weights are 16-bit, and fp32 copies of them belong to the optimizer. Stages 1 to 3
divide the optimizer, 2 also the gradients, which go through a bucket as they come (`zero_flow.py`),
and 3 also the weights (`zero_3.py`). Read off DeepSpeed 0.19.8 (runtime/zero/stage_1_and_2.py) and
compared with the tracer, which runs it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from workbench.estimate.engines import single, zero_0, zero_3, zero_backward, zero_update
from workbench.estimate.engines.base import Standing, buffer_lines
from workbench.estimate.engines.inputs import input_lines
from workbench.estimate.engines.zero_flow import Plan
from workbench.estimate.engines.zero_sizes import Pieces, pieces_of
from workbench.estimate.ledger import Line
from workbench.estimate.rounding import pinned, up
from workbench.estimate.tensors import trained_weights, weights_of

if TYPE_CHECKING:
    from workbench.estimate.engines.states import Updates
    from workbench.estimate.engines.zero import Zero
    from workbench.estimate.engines.zero_flow import Held
    from workbench.estimate.ledger import Category, Moment, Stream
    from workbench.estimate.network.network import Sized

SOURCE = "DeepSpeed 0.19.8, runtime/zero/stage_1_and_2.py"


def ledger(
    net: Sized, zero: Zero, updates: Updates, first: Sized | None = None
) -> tuple[Standing, list[Moment]]:
    """What stands, and the moments of a step.

    Args:
        net: The network.
        zero: How DeepSpeed is asked to train.
        updates: How weights are updated.
        first: The network in the first of two micro-batches, where gradients stay without ZeRO's
            doing (`Zero.begins_otherwise`).
    """
    if zero.stage == 3:
        return zero_3.ledger(net, zero, updates)
    if zero.stage == 0:
        return zero_0.ledger(net, zero, updates)
    pieces = pieces_of(net, zero.devices, zero.spared, deals=zero.deals)
    base = _standing(net, zero, updates, pieces)
    found, left = _passes(net, base, zero, updates, pieces)
    if first is not None:
        plan = _plan(zero, pieces, net.symbols[0])
        early = replace(plan, stands=False, prepared=False)
        staying = zero_backward.staying(pieces.rows, early, 0)
        found += zero_backward.moments(first, base, staying, early)
    behind: tuple[Line, ...] = ()
    if zero.adds:
        behind = tuple(zero_backward.held_lines(left, _plan(zero, pieces, net.symbols[0])))
    return base, [*found, *zero_update.moments(net, base, zero, updates, pieces, behind)]


def _standing(net: Sized, zero: Zero, updates: Updates, pieces: Pieces) -> Standing:
    """Weights, fp32 copies and optimizer, and the inputs."""
    alignment, width, rule = net.symbols[0], zero.width, updates.rule
    host: Stream = "host" if zero.optimizer_on != "none" else "compute"
    lines = [
        Line("weights", f"{width} P", up(width * pieces.padded, alignment), "weights", SOURCE),
        Line(
            f"{'fp32' if zero.master == 4 else 'bf16'} copy of this device's piece of the weights",
            f"{zero.master} P/N", zero.master * pieces.part, "weights", SOURCE, host,
        ),
    ]  # fmt: skip
    frozen = sum(
        each.times * up(width * each.numbers, alignment)
        for each in weights_of(net)
        if not each.trained
    )
    lines.append(Line("frozen weights", f"{width} P", frozen, "weights", SOURCE))
    lines += buffer_lines(net)
    if rule.copies:
        size = round(zero.master * rule.copies * pieces.part)
        name, formula = f"optimizer: {rule.text}", f"{zero.master * rule.copies:g} P/N"
        kept = "fp32" if zero.master == 4 else "bf16"
        lines.append(Line(name, formula, size, "optimizer", kept, host))
    if zero.optimizer_on != "none":
        lines += _offloaded(pieces, zero, alignment)
    lines += input_lines(net)
    return Standing.of(*lines, apart=zero.apart)


def _offloaded(pieces: Pieces, zero: Zero, alignment: int) -> list[Line]:
    """What an update on the host keeps there, and the one buffer that it keeps here."""
    width, part = zero.width, pieces.part
    size = up(width * pieces.largest, alignment)
    lines = [
        _line("buffer for the largest gradient on its way", f"{width} n", size),
        _host("fp32 gradients of this device's piece", "4 P/N", 4 * part, zero, "gradients"),
        _host(f"weights in {8 * width} bits on their way back", f"{width} P/N", width * part, zero),
        _host("buffer for the largest gradient", f"{width} n", width * pieces.largest, zero),
    ]
    if zero.accumulating and zero.stage > 1 and not zero.sums:
        name, size = "gradients of earlier micro-batches", width * pieces.whole
        lines.append(_host(name, f"{width} P_own", size, zero, "gradients"))
    return lines


def _plan(zero: Zero, pieces: Pieces, alignment: int, *, last: bool = True) -> Plan:
    """How gradients pass; ``last``: in the last micro-batch."""
    return Plan(
        stage=zero.stage,
        width=zero.width,
        gradient=zero.gradient,
        travel=zero.travel,
        bucket=zero.bucket,
        buckets=zero.buckets,
        overlaps=zero.buckets > 1,
        contiguous=zero.contiguous,
        scatters=zero.scatters,
        together=zero.together,
        offloads=zero.optimizer_on != "none",
        stands=zero.stage == 1 and zero.accumulating,
        prepared=zero.stage == 1 and zero.accumulating,
        last=last,
        pieces=(pieces.first, pieces.second),
        own=pieces.whole,
        alignment=alignment,
        dealt=pieces.dealt,
        adds=zero.adds,
        converts=zero.converts,
        summed=zero.sums and zero.accumulating and zero.stage == 2,
    )


def _waiting(net: Sized, zero: Zero, pieces: Pieces) -> tuple[Line, ...]:
    """What waits from earlier micro-batches until the gradients are whole."""
    if not zero.accumulating:
        return ()
    alignment = net.symbols[0]
    if zero.stage == 1:
        line = _line("gradients of earlier micro-batches", f"{zero.gradient} P", _all(net, zero))
        return (line, *_buckets(zero, alignment))
    if zero.sums:
        return (_line("fp32 sums of this device's pieces", "4 P/N", 4 * pieces.part),)
    if zero.optimizer_on != "none":
        return ()
    size = up(zero.width * pieces.whole, alignment)
    name = "gradients of earlier micro-batches that begin in this device's pieces"
    return (_line(name, f"{zero.width} P_own", size),)


def _all(net: Sized, zero: Zero) -> int:
    """Bytes of all gradients, each by itself."""
    alignment = net.symbols[0]
    each_of = trained_weights(net)
    return sum(each.times * up(zero.gradient * each.numbers, alignment) for each in each_of)


def _buckets(zero: Zero, alignment: int) -> tuple[Line, ...]:
    """The buckets; they are there from the first gradient to the end of the backward pass."""
    if not zero.contiguous:
        return ()
    width = zero.gradient if zero.stage == 1 else zero.width
    size = zero.buckets * up(width * zero.bucket, alignment)
    several = f"{zero.buckets} × " if zero.buckets > 1 else ""
    formula = f"{several}{width} × reduce_bucket_size"
    return (Line("buckets of gradients", formula, size, "communication", SOURCE),)


def _passes(
    net: Sized, base: Standing, zero: Zero, updates: Updates, pieces: Pieces
) -> tuple[list[Moment], Held]:
    """Forwards, backwards, and the exchange of gradients; and what of them is left then."""
    alignment, rows = net.symbols[0], pieces.rows
    waits = _waiting(net, zero, pieces)
    passes = Standing.of(*base.lines, *base.host, *waits, apart=base.apart)
    plan = _plan(zero, pieces, alignment)
    found = single.moments(net, passes, updates=updates, updated=False)
    forwards = next(place for place, each in enumerate(found) if each.name == "loss") + 1
    found = found[:forwards]
    # Sums of earlier micro-batches stand; gradients that wait in their own memory leave it.
    beside = base if zero.stage == 1 else passes
    standing = _all(net, zero) if plan.stands else 0
    if zero.stays_before_the_last:
        staying = zero_backward.staying(rows, plan, standing)
        found += zero_backward.moments(net, beside, staying, plan)
    if not zero.sends_meanwhile:
        plan = replace(plan, stands=True, prepared=True, adds=False)
        at = zero_backward.afterwards(rows, plan, _all(net, zero))
        return [*found, zero_backward.after_all(net, base, plan, at)], at.left
    backward = zero_backward.passed(rows, plan, standing)
    found += zero_backward.moments(net, beside, backward, plan)
    if zero.stage == 2 and zero.accumulating and plan.offloads:
        early = _plan(zero, pieces, alignment, last=False)
        found += zero_backward.moments(
            net, beside, zero_backward.passed(rows, early, standing), early
        )
    return found, backward.left


def _line(name: str, formula: str, size: int, category: Category = "gradients") -> Line:
    return Line(name, formula, size, category, SOURCE)


def _host(name: str, formula: str, size: int, zero: Zero, category: Category = "optimizer") -> Line:
    size, how = pinned(size, is_pinned=zero.is_pinned)
    return Line(name, formula + how, size, category, SOURCE, "host")
