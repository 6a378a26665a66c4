"""DeepSpeed without ZeRO: every device has everything, in 16 bits a second time in fp32.

Read off DeepSpeed 0.19.8 (runtime/fp16/unfused_optimizer.py and runtime/engine.py).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from workbench.estimate.engines import single
from workbench.estimate.engines.base import Part, Standing, buffer_lines, moment
from workbench.estimate.engines.inputs import input_lines
from workbench.estimate.engines.states import update_lines
from workbench.estimate.engines.zero_sizes import pieces_of, placed
from workbench.estimate.ledger import Line
from workbench.estimate.rounding import up
from workbench.estimate.tensors import trained_weights, weights_of

if TYPE_CHECKING:
    from workbench.estimate.engines.states import Updates
    from workbench.estimate.engines.zero import Zero
    from workbench.estimate.engines.zero_sizes import Row
    from workbench.estimate.ledger import Category, Moment
    from workbench.estimate.network.network import Sized

SOURCE = "DeepSpeed 0.19.8, runtime/fp16/unfused_optimizer.py and runtime/engine.py"

_ALL_REDUCE = 500_000_000
"""Numbers that are added up at once (`MEMORY_OPT_ALLREDUCE_SIZE`, runtime/engine.py)."""


def ledger(net: Sized, zero: Zero, updates: Updates) -> tuple[Standing, list[Moment]]:
    """What stands, and the moments of a step."""
    alignment, width = net.symbols[0], zero.width
    weights = weights_of(net)
    exact = sum(each.times * up(4 * each.numbers, alignment) for each in weights if each.trained)
    lines = [
        _line(
            "weights", f"{width} P",
            sum(each.times * up(width * each.numbers, alignment) for each in weights), "weights",
        ),
        _line("fp32 copies of the weights", "4 P", exact if width == 2 else 0, "weights"),
        *buffer_lines(net),
    ]  # fmt: skip
    rule = updates.rule
    if rule.copies:
        size = round(rule.copies * exact)
        name, formula = f"optimizer: {rule.text}", f"{4 * rule.copies:g} P"
        lines.append(Line(name, formula, size, "optimizer", "fp32"))
    base = Standing.of(*lines, *input_lines(net), apart=zero.apart)
    passes, grown = base, _gradients(net)
    if zero.accumulating:
        size = sum(
            each.times * up(width * each.numbers, alignment) for each in trained_weights(net)
        )
        line = _line("gradients of earlier micro-batches", f"{width} P", size)
        passes, grown = Standing.of(*base.lines, line, apart=base.apart), []
    found = single.moments(net, passes, updates=updates, updated=False)
    row = _line(
        "gradients in a row", f"{width} P", up(width * _row(pieces_of(net, 1).rows), alignment),
        "communication",
    )  # fmt: skip
    travel = _line(
        "the same in the format in which they travel", f"{zero.travel} P",
        row.bytes * zero.travel // width * zero.converts, "communication",
    )  # fmt: skip
    found.append(moment("gradients on their way", net, passes, grown, (row, travel)))
    copy = _line("gradients in fp32", "4 P", exact if width == 2 else 0)
    lines_of_update = (copy, *update_lines(net, updates))
    found.append(moment("optimizer", net, passes, grown, lines_of_update))
    return base, found


@lru_cache(maxsize=256)
def _row(rows: tuple[Row, ...]) -> int:
    """Numbers of the longest row: one is complete once it is longer than what goes at once."""
    longest = numbers = count = 0
    for each in placed(rows, arriving=False):
        numbers, count = numbers + each.numbers, count + 1
        if numbers > _ALL_REDUCE:
            longest, numbers, count = max(longest, numbers * (count > 1)), 0, 0
    return max(longest, numbers * (count > 1))


def _gradients(net: Sized) -> list[Part]:
    blocks = [
        Part(kind, "lasting" if kind == net.middle else "gradients", count)
        for kind, count in net.runs
    ]
    return [Part("front", "lasting"), *blocks, Part("tail", "lasting")]


def _line(name: str, formula: str, size: int, category: Category = "gradients") -> Line:
    return Line(name, formula, size, category, SOURCE)
