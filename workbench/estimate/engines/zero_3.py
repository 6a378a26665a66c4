"""ZeRO stage 3: weights are in pieces too, and whole only around the time that they are needed.

Each weight is cut by itself, and small ones stay whole. `zero_3_pass` follows the others from
module to module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from workbench.estimate.engines import zero_backward
from workbench.estimate.engines.base import (
    Part,
    Standing,
    buffer_lines,
    moment,
    segment_of,
    sizes_of,
)
from workbench.estimate.engines.inputs import input_lines
from workbench.estimate.engines.single_plan import BETWEEN
from workbench.estimate.engines.zero_3_pass import passes_of
from workbench.estimate.engines.zero_3_stays import places_of, stays_of, weights_at
from workbench.estimate.engines.zero_3_steps import Rules
from workbench.estimate.engines.zero_backward import moment_at
from workbench.estimate.engines.zero_flow import Plan
from workbench.estimate.engines.zero_sizes import pieces_of, placed
from workbench.estimate.ledger import Line
from workbench.estimate.rounding import pinned
from workbench.estimate.tensors import weights_of

if TYPE_CHECKING:
    from workbench.estimate.engines.states import Updates
    from workbench.estimate.engines.zero import Zero
    from workbench.estimate.engines.zero_3_pass import Passes
    from workbench.estimate.engines.zero_3_stays import Stays
    from workbench.estimate.engines.zero_sizes import Pieces
    from workbench.estimate.ledger import Category, Moment, Stream
    from workbench.estimate.network.network import Sized
    from workbench.estimate.tensors import Weight

SOURCE = "DeepSpeed 0.19.8, runtime/zero/stage3.py"


class _Cut(NamedTuple):
    """Weights, and numbers of them.

    Attributes:
        weights: All of them, those of equal blocks as one.
        stays: Which of them stay whole.
        pieces: What this device has of all weights.
        trained: What it has of those that learn.
        persistent: Weights that stay whole, filled up to equal pieces.
    """

    weights: list[Weight]
    stays: Stays
    pieces: int
    trained: int
    persistent: int


def _cut(net: Sized, zero: Zero) -> _Cut:
    devices, weights = zero.devices, weights_of(net)
    stays = stays_of(net, weights, zero.persists, zero.room)
    pieces = trained = persistent = 0
    for each in weights:
        piece = -(-each.numbers // devices)
        pieces += each.times * piece
        trained += each.times * piece * each.trained
        if each.numbers <= zero.persists and devices > 1:
            # A device alone has them whole as pieces.
            persistent += each.times * piece * devices
    if stays.but and devices > 1:
        for place, each in weights_at(places_of(net), weights):
            if (place.run, place.turn, each.name) in stays.but:
                persistent -= -(-each.numbers // devices) * devices
    return _Cut(weights, stays, pieces, trained, persistent)


def ledger(net: Sized, zero: Zero, updates: Updates) -> tuple[Standing, list[Moment]]:
    """What stands, and the moments of a step."""
    cut, pieces = _cut(net, zero), pieces_of(net, zero.devices, zero.spared)
    base = _standing(net, zero, updates, cut)
    return base, [
        *_passes(net, zero, cut, pieces, base),
        *_update(net, zero, updates, cut, pieces, base),
    ]


def _standing(net: Sized, zero: Zero, updates: Updates, cut: _Cut) -> Standing:
    width, rule = zero.width, updates.rule
    optimizer: Stream = "compute" if zero.optimizer_on == "none" else "host"
    weights: Stream = "compute" if zero.weights_on == "none" else "host"
    lines = [
        _line("pieces of the weights", f"{width} P/N", width * cut.pieces, "weights", weights),
        _line("small weights that stay whole", f"{width} n", width * cut.persistent, "weights"),
        _line("fp32 copies of the pieces", "4 P/N", 4 * cut.trained, "weights", optimizer),
        _line(
            "gradients of the pieces", f"{zero.gradient} P/N", zero.gradient * cut.trained,
            "gradients", optimizer,
        ),
        _line(
            "bucket of gradients", f"{zero.travel} × reduce_bucket_size",
            zero.travel * zero.bucket * zero.contiguous, "communication",
        ),
    ]  # fmt: skip
    if rule.copies:
        size = round(4 * rule.copies * cut.trained)
        name, formula = f"optimizer: {rule.text}", f"{4 * rule.copies:g} P/N"
        lines.append(_line(name, formula, size, "optimizer", optimizer))
    if optimizer == "host":
        size, how = pinned(4 * cut.trained, is_pinned=zero.is_pinned)
        lines.append(
            _line("fp32 gradients of the pieces", f"4 P/N{how}", size, "gradients", "host")
        )
    lines += [*buffer_lines(net), *input_lines(net)]
    return Standing.of(*lines, apart=zero.apart)


def _passes(net: Sized, zero: Zero, cut: _Cut, pieces: Pieces, base: Standing) -> list[Moment]:
    """Forwards and backwards, from module to module."""
    plan = _plan(zero, net.symbols[0])
    found = passes_of(net, cut.weights, cut.stays, _rules(zero, net.symbols[0]), pieces, plan)
    return [
        *_onwards(net, base, found, plan),
        *zero_backward.moments(net, base, found.backward, plan),
    ]


def _onwards(net: Sized, base: Standing, found: Passes, plan: Plan) -> list[Moment]:
    """The largest moment of each part's forward pass."""
    total = sum(count for kind, count in net.runs if kind != net.middle)
    moments, before, place = [], list[Part](), 0
    order: list[tuple[str | int, int]] = [("front", 1), *net.runs, ("tail", 1)]
    for (part, count), slots in zip(order, found.onwards, strict=True):
        steps = segment_of(net, part).onwards
        assert steps is not None
        saved = sizes_of(net, part).saved
        sizes = steps.evaluate(*net.symbols)
        most, best = -1, (0, slots[0][0])
        for index, slot in enumerate(slots):
            for each in slot:
                size = sizes[index] + each.bytes + saved * each.turn
                if size > most:
                    most, best = size, (index, each)
        index, at = best
        name = {"front": "embedding, forward", "tail": "loss"}.get(str(part))
        if name is None:
            name = f"block {place + at.turn + 1} of {total}, forward"
            if part == net.middle:
                name = f"{BETWEEN}, forward"
        parts = [*before, Part(part, "saved", at.turn)]
        moments.append(moment_at(net, base, name, parts, (part, index), at, plan, onwards=True))
        before.append(Part(part, "saved", count))
        if part not in ("front", net.middle):
            place += count
    return moments


def _rules(zero: Zero, alignment: int) -> Rules:
    """How weights travel."""
    return Rules(
        devices=zero.devices,
        width=zero.width,
        alignment=alignment,
        ahead=zero.ahead,
        live=zero.live,
        reuse=zero.reuse,
        summed=zero.summed,
        comes_over=zero.weights_on != "none" and zero.apart,
        accumulating=zero.accumulating,
    )


def _plan(zero: Zero, alignment: int) -> Plan:
    """How gradients pass."""
    return Plan(
        stage=3,
        width=zero.width,
        gradient=zero.gradient,
        travel=zero.travel,
        bucket=zero.bucket,
        buckets=1,
        overlaps=False,
        contiguous=zero.contiguous,
        scatters=zero.scatters,
        together=True,
        offloads=zero.optimizer_on != "none",
        stands=False,
        prepared=False,
        last=True,
        pieces=(0, 0),
        own=0,
        alignment=alignment,
        devices=zero.devices,
        scaled=zero.scaled,
    )


def _update(
    net: Sized, zero: Zero, updates: Updates, cut: _Cut, pieces: Pieces, base: Standing
) -> list[Moment]:
    """The norm, in fp64, and the update of one group after the other without small weights."""
    piece = -(-pieces.largest // zero.devices)
    gone = _line(
        "small weights, given up", f"-{zero.width} n", -zero.width * cut.persistent, "weights"
    )
    groups = [
        (_largest_group(pieces, zero, place), updates.rule.on_a_row(decayed=not place))
        for place in (0, 1)
    ]
    largest = max(numbers for numbers, _ in groups)
    group, times = max(groups, key=lambda each: each[0] * (1 + each[1]))
    side = times * 4 * group
    if zero.optimizer_on != "none":
        line = _line("update of a group", f"{4 * times} P/N", side, "temporaries", "host")
        return [moment("update on the host", net, base, [], (gone, line))]
    exact = _line("fp64 copy of the largest piece of a gradient", "8 n/N", 8 * piece, "temporaries")
    found = [moment("norm of the gradients", net, base, [], (exact,))]
    flat = _line(
        "gradients of a group in a row",
        f"{zero.gradient} P/N",
        zero.gradient * largest,
        "temporaries",
    )
    size = 4 * largest if zero.gradient == 2 else 0
    wide = _line("the same in fp32", "4 P/N", size, "gradients")
    found.append(moment("gradients in fp32", net, base, [], (gone, flat, wide)))
    line = _line("update of a group", f"{4 * times} P/N", side, "temporaries")
    gradient = _line("fp32 gradients of a group", "4 P/N", 4 * group, "gradients")
    found.append(moment("optimizer", net, base, [], (gone, gradient, line)))
    return found


def _largest_group(pieces: Pieces, zero: Zero, group: int) -> int:
    """Numbers of this device's pieces that are updated at once (`_create_fp16_sub_groups`).

    Weights are taken in the order in which they are registered until there are enough.

    Args:
        pieces: The weights.
        zero: How many are enough.
        group: 0 with weight decay, 1 without.
    """
    most = total = 0
    for each in placed(pieces.rows, arriving=False):
        if each.group == group:
            total += -(-each.numbers // zero.devices)
            most = max(most, total)
            if total >= zero.group:
                total = 0
    return most


def _line(
    name: str,
    formula: str,
    size: int,
    category: Category,
    stream: Stream = "compute",
    source: str = SOURCE,
) -> Line:
    return Line(name, formula, size, category, source, stream)
