"""ZeRO stage 3: weights are in pieces too, and whole only around the time that they are needed.

Each weight is cut by itself. Small ones stay whole. A weight that is needed again within
``stage3_max_reuse_distance`` others is kept; those to come are fetched ahead, as one buffer that
is then copied out into the weights and lives until the last of them is used
(DeepSpeed 0.19.8, runtime/zero: partitioned_param_coordinator.py, partition_parameters.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from workbench.estimate.engines import zero_backward
from workbench.estimate.engines.base import Part, Standing, buffer_lines, moment
from workbench.estimate.engines.inputs import input_lines
from workbench.estimate.engines.zero_backward import Fetched
from workbench.estimate.engines.zero_flow import Plan
from workbench.estimate.engines.zero_sizes import pieces_of
from workbench.estimate.ledger import Line
from workbench.estimate.rounding import pinned
from workbench.estimate.tensors import trained_weights, weights_of

if TYPE_CHECKING:
    from workbench.estimate.engines.states import Updates
    from workbench.estimate.engines.zero import Zero
    from workbench.estimate.engines.zero_sizes import Pieces
    from workbench.estimate.ledger import Category, Moment, Stream
    from workbench.estimate.network.network import Sized

SOURCE = "DeepSpeed 0.19.8, runtime/zero/stage3.py"
_FETCH = "DeepSpeed 0.19.8, runtime/zero/partitioned_param_coordinator.py"


class _Cut(NamedTuple):
    """Numbers of weights.

    Attributes:
        pieces: What this device has of all weights.
        trained: What it has of those that learn.
        persistent: Weights that stay whole.
        moving: Those that do not, by part of the network: of the front, of one block of each
            kind, of the tail.
    """

    pieces: int
    trained: int
    persistent: int
    moving: dict[str | int, int]

    def total(self, net: Sized) -> int:
        """All weights that do not stay whole."""
        blocks = sum(count * self.moving.get(kind, 0) for kind, count in net.runs)
        return self.moving.get("front", 0) + blocks + self.moving.get("tail", 0)


def _cut(net: Sized, zero: Zero) -> _Cut:
    devices = zero.devices
    moving: dict[str | int, int] = {}
    persistent = pieces = 0
    for each in weights_of(net):
        pieces += each.times * -(-each.numbers // devices)
        if each.numbers < zero.persists:
            # A device alone has them whole as pieces.
            persistent += each.times * each.numbers * (devices > 1)
        else:
            moving[each.part] = moving.get(each.part, 0) + each.numbers
    trained = sum(each.times * -(-each.numbers // devices) for each in trained_weights(net))
    return _Cut(pieces, trained, persistent, moving)


def ledger(net: Sized, zero: Zero, updates: Updates) -> tuple[Standing, list[Moment]]:
    """What stands, and the moments of a step."""
    cut, pieces = _cut(net, zero), pieces_of(net, zero.devices)
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
            "bucket of gradients", f"{width} × reduce_bucket_size",
            width * zero.bucket * zero.contiguous, "communication",
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
    """Forwards weights gather, up to a window; backwards they go again."""
    width, total = zero.width, cut.total(net)
    window = zero.reuse // 2

    # A single device has every weight whole, but perhaps on the host.
    shared = zero.devices > 1
    travels = shared or (zero.weights_on != "none" and zero.apart)

    def fetched(numbers: int) -> Line:
        numbers *= travels
        return _line("weights, fetched", f"{width} P", width * numbers, "weights", source=_FETCH)

    def buffer(numbers: int) -> Line:
        name, size = (
            "buffer that weights were fetched into",
            shared * width * min(zero.ahead, numbers),
        )
        return _line(
            name, f"{width} × stage3_prefetch_bucket_size", size, "communication", source=_FETCH
        )

    found: list[Moment] = []
    before: list[Part] = [Part("front", "saved")]
    so_far = cut.moving.get("front", 0)
    lines: tuple[Line, ...] = (fetched(min(total, so_far + zero.ahead)),)
    found.append(moment("embedding, forward", net, base, [Part("front", "forward")], lines))
    count_all = sum(count for _, count in net.runs)
    place = 0
    for kind, count in net.runs:
        place += count
        one = cut.moving.get(kind, 0)
        so_far += count * one
        live = min(so_far, max(window, one)) + min(zero.ahead, total - so_far)
        parts = [*before, Part(kind, "saved", count - 1), Part(kind, "forward")]
        # The last weight of a buffer is that of the block's last product.
        lines = (fetched(live), buffer(total - cut.moving.get("front", 0)))
        found.append(moment(f"block {place} of {count_all}, forward", net, base, parts, lines))
        before.append(Part(kind, "saved", count))
    tail = cut.moving.get("tail", 0)
    live = min(total, max(window, tail))
    found.append(moment("loss", net, base, [*before, Part("tail", "forward")], (fetched(live),)))
    moving = tuple(width * travels * cut.moving.get(row.part, 0) for row in pieces.rows)
    found_back = Fetched(moving, width * travels * window, width * travels * zero.ahead)
    plan = _plan(zero, net.symbols[0])
    backward = zero_backward.passed_3(pieces.rows, plan, found_back)
    return found + zero_backward.moments(net, base, backward, plan)


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
    )


def _update(
    net: Sized, zero: Zero, updates: Updates, cut: _Cut, pieces: Pieces, base: Standing
) -> list[Moment]:
    """The norm, in fp64, and the update of one group after the other without small weights."""
    piece = -(-pieces.largest // zero.devices)
    gone = _line(
        "small weights, given up", f"-{zero.width} n", -zero.width * cut.persistent, "weights"
    )
    group = min(pieces.first, zero.group)
    times = {"lion": 1, "adagrad": 2}.get(updates.rule.name, 0)
    side = times * 4 * group
    if zero.optimizer_on != "none":
        line = _line("update of a group", f"{4 * times} P/N", side, "temporaries", "host")
        return [moment("update on the host", net, base, [], (gone, line))]
    exact = _line("fp64 copy of the largest piece of a gradient", "8 n/N", 8 * piece, "temporaries")
    found = [moment("norm of the gradients", net, base, [], (exact,))]
    flat = _line(
        "gradients of a group in a row",
        f"{zero.gradient} P/N",
        zero.gradient * group,
        "temporaries",
    )
    wide = _line("the same in fp32", "4 P/N", 4 * group if zero.gradient == 2 else 0, "gradients")
    found.append(moment("gradients in fp32", net, base, [], (gone, flat, wide)))
    line = _line("update of a group", f"{4 * times} P/N", side, "temporaries")
    gradient = _line("fp32 gradients of a group", "4 P/N", 4 * group, "gradients")
    found.append(moment("optimizer", net, base, [], (gone, gradient, line)))
    return found


def _line(
    name: str,
    formula: str,
    size: int,
    category: Category,
    stream: Stream = "compute",
    source: str = SOURCE,
) -> Line:
    return Line(name, formula, size, category, source, stream)
