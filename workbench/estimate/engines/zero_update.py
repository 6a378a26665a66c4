"""The update under ZeRO stages 1 and 2: of this device's piece of one group after the other.

The gradients of a piece are put in a row, in the optimizer's format, unless they have been added up
in one (`step`, DeepSpeed 0.19.8, runtime/zero/stage_1_and_2.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.estimate.engines.base import moment
from workbench.estimate.ledger import Line
from workbench.estimate.rounding import up

if TYPE_CHECKING:
    from workbench.estimate.engines.base import Standing
    from workbench.estimate.engines.states import Updates
    from workbench.estimate.engines.zero import Zero
    from workbench.estimate.engines.zero_sizes import Pieces
    from workbench.estimate.ledger import Category, Moment, Stream
    from workbench.estimate.network.network import Sized

SOURCE = "DeepSpeed 0.19.8, runtime/zero/stage_1_and_2.py"


def moments(
    net: Sized,
    base: Standing,
    zero: Zero,
    updates: Updates,
    pieces: Pieces,
    behind: tuple[Line, ...],
) -> list[Moment]:
    """The norm, in fp64, and the update of one group after the other.

    Args:
        net: The network.
        base: What stands.
        zero: How DeepSpeed is asked to train.
        updates: How weights are updated.
        pieces: How the weights are cut.
        behind: What the passing of gradients has left behind until then.
    """
    sums = _line("fp32 sums of this device's pieces", "4 P/N", 4 * pieces.part * zero.sums)
    if zero.optimizer_on != "none":
        return [
            moment(
                "update on the host", net, base, [],
                (*_passing(updates, piece, "host", decayed=not group), sums, *behind),
            )
            for group, piece in enumerate((pieces.first, pieces.second))
        ]  # fmt: skip
    alignment, groups = net.symbols[0], pieces.begun
    size = up(8 * pieces.piece, alignment)
    norm = _line("fp64 copy of the largest piece", "8 n", size, "temporaries")
    owned = _owned(zero, groups, alignment)
    # Without buckets, what this device owns is among what is left.
    beside = behind if zero.adds and not zero.contiguous else (owned, *behind)
    found = [moment("norm of the gradients", net, base, [], (sums, norm, *beside))]
    for group, piece in enumerate((pieces.first, pieces.second)):
        if not piece:
            continue
        passing = _passing(updates, piece, "compute", decayed=not group, width=zero.master)
        wide = up(zero.master * piece, alignment)
        if zero.sums:
            copy = _line("the same in bf16", f"{zero.master} P/N", wide if zero.master == 2 else 0)
            found.append(moment("gradients to update with", net, base, [], (sums, copy)))
            later = _line("fp32 sums of this device's pieces", "4 P/N", 4 * pieces.second)
            sums, kept = (later if zero.master == 2 or group else sums), copy
            found.append(moment("optimizer", net, base, [], (sums, kept, *passing)))
            sums = later
            continue
        # A tensor alone is its own row.
        joined = len(groups[group]) > 1 or sum(groups[group]) < piece
        row = up(zero.owned * piece, alignment) * joined
        flat = _line("gradients of a piece in a row", f"{zero.owned} P/N", row)
        kind = "fp32" if zero.master == 4 else "bf16"
        changed = wide if zero.owned != zero.master else 0
        exact = _line(f"the same in {kind}", f"{zero.master} P/N", changed)
        found.append(moment(f"gradients in {kind}", net, base, [], (owned, flat, exact)))
        if not zero.contiguous:
            owned = _owned(zero, groups[group + 1 :], alignment)
        elif group:
            owned = _owned(zero, (), alignment)
        lines = (owned, exact if changed else flat, *passing)
        found.append(moment("optimizer", net, base, [], lines))
    return found


def _owned(zero: Zero, groups: tuple[tuple[int, ...], ...], alignment: int) -> Line:
    """Gradients that begin in this device's pieces: in one tensor, or each in its own memory."""
    sizes = [zero.owned * each for group in groups for each in group] if not zero.sums else []
    size = up(sum(sizes), alignment) if zero.contiguous else sum(up(e, alignment) for e in sizes)
    name = "gradients that begin in this device's pieces"
    return _line(name, f"{zero.owned} P_own", size)


def _passing(
    updates: Updates, piece: int, stream: Stream, *, decayed: bool, width: int = 4
) -> tuple[Line, ...]:
    """What the update of a piece needs on the side: it is one long tensor."""
    times = updates.rule.on_a_row(decayed=decayed)
    size = times * width * piece
    line = Line("update of a piece", f"{width * times} P/N", size, "temporaries", SOURCE, stream)
    return (line,) if size else ()


def _line(name: str, formula: str, size: int, category: Category = "gradients") -> Line:
    return Line(name, formula, size, category, SOURCE)
