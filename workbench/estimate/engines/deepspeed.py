"""The ledger of DeepSpeed on one of N devices: ZeRO stages 0 to 3 (`engines/deepspeed_*.py`).

In 16 bits all weights are 16-bit, and fp32 copies of them belong to the optimizer. Stages 1 to 3
divide the optimizer, 2 also the gradients, which go through a bucket as they come, and 3 also the
weights (`zero_3.py`). Read off DeepSpeed 0.19.8 (runtime/zero/stage_1_and_2.py) and compared with
the tracer, which runs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.estimate.engines import single, zero_3
from workbench.estimate.engines.base import Part, Standing, moment
from workbench.estimate.engines.inputs import input_lines
from workbench.estimate.engines.zero_sizes import Flush, Pieces, flushes, pieces_of
from workbench.estimate.ledger import Line
from workbench.estimate.rounding import pinned, up

if TYPE_CHECKING:
    from workbench.estimate.engines.states import Updates
    from workbench.estimate.engines.zero import Zero
    from workbench.estimate.ledger import Category, Moment, Stream
    from workbench.estimate.network.network import Sized

SOURCE = "DeepSpeed 0.19.8, runtime/zero/stage_1_and_2.py"
_PLAIN = "DeepSpeed 0.19.8, runtime/fp16/unfused_optimizer.py and runtime/engine.py"

_ALL_REDUCE = 500_000_000
"""Numbers that stage 0 adds up at once (`MEMORY_OPT_ALLREDUCE_SIZE`, runtime/constants.py)."""


def ledger(net: Sized, zero: Zero, updates: Updates) -> tuple[Standing, list[Moment]]:
    """What stands, and the moments of a step."""
    if zero.stage == 3:
        return zero_3.ledger(net, zero, updates)
    base = standing(net, zero, updates)
    return base, moments(net, base, zero, updates)


def standing(net: Sized, zero: Zero, updates: Updates) -> Standing:
    """Weights, fp32 copies and optimizer, what waits of gradients, and the inputs."""
    alignment = net.symbols[0]
    pieces = pieces_of(net, zero.devices)
    lines = _weights(pieces, zero, updates, alignment)
    if zero.stage and zero.optimizer_on != "none":
        lines += _offloaded(pieces, zero, alignment)
    lines += input_lines(net)
    return Standing.of(*lines, apart=zero.apart)


def _weights(pieces: Pieces, zero: Zero, updates: Updates, alignment: int) -> list[Line]:
    width, rule, part = zero.width, updates.rule, pieces.part
    host: Stream = "host" if zero.stage and zero.optimizer_on != "none" else "compute"
    formula = f"{width} P"
    lines = [Line("weights", formula, up(width * pieces.padded, alignment), "weights", SOURCE)]
    if zero.stage == 0:
        numbers = pieces.numbers
        if width == 2:
            lines.append(Line("fp32 copies of the weights", "4 P", 4 * numbers, "weights", _PLAIN))
        formula, cut = f"{4 * rule.copies:g} P", numbers
    else:
        name = "fp32 copy of this device's piece of the weights"
        lines.append(Line(name, "4 P/N", 4 * part, "weights", SOURCE, host))
        formula, cut = f"{4 * rule.copies:g} P/N", part
    if rule.copies:
        size = round(4 * rule.copies * cut)
        lines.append(Line(f"optimizer: {rule.text}", formula, size, "optimizer", "fp32", host))
    return lines


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
    if zero.accumulating and zero.stage > 1:
        name, size = "gradients of earlier micro-batches", width * pieces.whole
        lines.append(_host(name, f"{width} P_own", size, zero, "gradients"))
    return lines


def _waiting(pieces: Pieces, zero: Zero, alignment: int) -> tuple[Line, ...]:
    """What waits from earlier micro-batches until the gradients are whole."""
    if not zero.accumulating:
        return ()
    if zero.gradients_stay:
        size = zero.gradient * pieces.numbers
        line = _line("gradients of earlier micro-batches", f"{zero.gradient} P", size)
        return (line, *bucket_lines(zero, alignment))
    if zero.stage == 1 or zero.optimizer_on != "none":
        return ()
    size = up(zero.width * pieces.whole, alignment)
    name = "gradients of earlier micro-batches that begin in this device's pieces"
    return (_line(name, f"{zero.width} P_own", size),)


def bucket_lines(zero: Zero, alignment: int) -> tuple[Line, ...]:
    """The buckets; they are there from the first gradient to the end of the backward pass."""
    if not zero.contiguous or not zero.stage:
        return ()
    width = zero.gradient if zero.stage == 1 else zero.width
    size = zero.buckets * up(width * zero.bucket, alignment)
    name = "bucket of gradients" if zero.buckets == 1 else "buckets of gradients"
    formula = f"{zero.buckets} × {width} × reduce_bucket_size"
    return (Line(name, formula, size, "communication", SOURCE),)


def moments(net: Sized, base: Standing, zero: Zero, updates: Updates) -> list[Moment]:
    """The moments of a step of stages 0 to 2."""
    alignment, pieces = net.symbols[0], pieces_of(net, zero.devices)
    stands = zero.gradients_stay and zero.accumulating
    extra = () if stands else bucket_lines(zero, alignment)
    waits = _waiting(pieces, zero, alignment)
    passes = Standing.of(*base.lines, *base.host, *waits, apart=base.apart)
    grown = [] if zero.finds_gradients else _gradients(net)
    if zero.stage == 0:
        found = single.moments(net, passes, updates=updates, buckets=extra, updated=False)
        return found + _stage_0(net, passes, zero, updates, grown)
    width = zero.gradient if zero.gradients_stay else zero.width
    meanwhile = zero.sends_meanwhile
    rows = pieces.together if meanwhile else pieces.in_groups
    bucket = zero.bucket if zero.contiguous else pieces.numbers
    sent = flushes(rows, bucket, (pieces.first, pieces.second), backwards=meanwhile)
    own = up(width * pieces.whole, alignment) if zero.optimizer_on == "none" else 0
    owned = _line("gradients that begin in this device's pieces", f"{width} P_own", own)
    copies = zero.devices > 1 and zero.scatters

    def row(flush: Flush) -> Line:
        """What goes is copied into a row first; where one device gets all of it, it is one."""
        name, formula = "a bucket's gradients in a row", f"{width} × its numbers"
        size = up(width * flush.row, alignment) if copies else 0
        return _line(name, formula, size, "communication")

    def elsewhere(left: int) -> Line:
        """Gradients in other memory than while they waited, when so many have yet to come."""
        if zero.gradients_stay:
            name = "gradients that are in the bucket, or were"
            numbers = sent.fitting_before(left)
            return _line(name, f"-{width} × their numbers", -width * numbers)
        # Stage 1 keeps every gradient to the end; only those in the bucket give their memory up.
        numbers = sent.large_before(left) if zero.stage == 1 else 0
        name = "gradients that are larger than the bucket"
        return _line(name, f"{width} × their numbers", width * numbers)

    def kept(coming: int) -> tuple[Line, ...]:
        """What there is of the gradients that have come."""
        mine = (owned,) if coming < sent.owns_at else ()
        return (*mine, elsewhere(coming))

    found = single.moments(
        net, passes, updates=updates, buckets=extra, kept=kept if meanwhile else None,
        updated=False,
    )  # fmt: skip
    if not meanwhile:
        # Gradients leave their own memory as they enter the bucket.
        found.append(moment("gradients, to the bucket", net, passes, grown, extra))
        name = "gradients that are in the bucket"
        entered = sent.first.numbers if sent.first.fits else 0
        moved = _line(name, f"-{width} × their numbers", -width * entered)
        after = _larger(row(sent.first), owned)
        lines = (*extra, after, moved)
        found.append(moment("gradients on their way", net, passes, grown, lines))
        return found + _update(net, base, zero, updates, pieces, owned)
    alone = zero.stage == 2
    for flush, mine in ((sent.early, ()), (sent.late, (owned,))):
        if flush is not None:
            size = _alone(flush, width) if alone else elsewhere(flush.left)
            lines = (*extra, *mine, row(flush), size)
            parts = _at(net, flush.left)
            found.append(moment("gradients on their way between blocks", net, passes, parts, lines))
    last = (row(sent.last), owned) if sent.owns_at >= 0 else (_larger(row(sent.last), owned),)
    size = _alone(sent.last, width) if alone else elsewhere(0)
    found.append(moment("gradients on their way", net, passes, [], (*extra, *last, size)))
    return found + _update(net, base, zero, updates, pieces, owned)


def _larger(one: Line, other: Line) -> Line:
    return one if one.bytes >= other.bytes else other


def _alone(flush: Flush, width: int) -> Line:
    """A gradient that fits no bucket goes from where it is."""
    size = 0 if flush.fits else width * flush.numbers
    return _line("gradient that is larger than the bucket", f"{width} n", size)


def _at(net: Sized, left: int) -> list[Part]:
    """The backward pass at the block whose gradients leave so many numbers to come."""
    parts: list[Part] = [Part("front", "saved")]
    left -= net.front.numbers
    for kind, count in net.runs:
        size = net.blocks[kind].numbers
        if left < count * size:
            place = max(0, left) // size
            return [*parts, Part(kind, "saved", place), Part(kind, "arrival")]
        left -= count * size
        parts.append(Part(kind, "saved", count))
    return [*parts, Part("tail", "arrival")]


def _update(
    net: Sized, base: Standing, zero: Zero, updates: Updates, pieces: Pieces, owned: Line
) -> list[Moment]:
    """The norm, in fp64, and the update of one group after the other."""
    alignment = net.symbols[0]
    if zero.optimizer_on != "none":
        return [moment("update on the host", net, base, [], _passing(updates, pieces, "host"))]
    norm = _line(
        "fp64 copy of the largest piece", "8 n", up(8 * pieces.piece, alignment), "temporaries"
    )
    found = [moment("norm of the gradients", net, base, [], (owned, norm))]
    size = up(zero.gradient * pieces.first, alignment)
    flat = _line("gradients of a piece in a row", f"{zero.gradient} P/N", size)
    exact = _line("the same in fp32", "4 P/N", up(4 * pieces.first, alignment))
    if zero.gradient == 4:
        exact = _line("the same in fp32", "0", 0)
    found.append(moment("gradients in fp32", net, base, [], (owned, flat, exact)))
    kept = flat if zero.gradient == 4 else exact
    lines = (owned, kept, *_passing(updates, pieces, "compute"))
    found.append(moment("optimizer", net, base, [], lines))
    return found


def _passing(updates: Updates, pieces: Pieces, stream: Stream) -> tuple[Line, ...]:
    """What the update of a piece needs on the side: it is one long tensor."""
    times = {"lion": 1, "adagrad": 2}.get(updates.rule.name, 0)
    size = times * 4 * pieces.first
    line = Line("update of a piece", f"{4 * times} P/N", size, "temporaries", SOURCE, stream)
    return (line,) if size else ()


def _stage_0(
    net: Sized, base: Standing, zero: Zero, updates: Updates, waiting: list[Part]
) -> list[Moment]:
    """Adding up in one piece, and the update, of fp32 copies in 16-bit training."""
    pieces = pieces_of(net, 1)
    width, numbers = zero.width, pieces.numbers
    size = width * min(numbers, _ALL_REDUCE) if zero.devices > 1 else 0
    row = _line("gradients in a row", f"{width} P", size, "communication")
    found = [moment("gradients on their way", net, base, waiting, (row,))]
    exact = 4 * numbers if width == 2 else 0
    line = _line("gradients in fp32", "4 P", exact)
    found.append(
        moment("optimizer", net, base, waiting, (line, *_passing(updates, pieces, "compute")))
    )
    return found


def _gradients(net: Sized) -> list[Part]:
    blocks = [Part(kind, "gradients", count) for kind, count in net.runs]
    return [Part("front", "lasting"), *blocks, Part("tail", "lasting")]


def _line(name: str, formula: str, size: int, category: Category = "gradients") -> Line:
    return Line(name, formula, size, category, SOURCE)


def _host(name: str, formula: str, size: int, zero: Zero, category: Category = "optimizer") -> Line:
    size, how = pinned(size, is_pinned=zero.is_pinned)
    return Line(name, formula + how, size, category, SOURCE, "host")
