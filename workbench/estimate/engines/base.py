"""What every engine's ledger is made of: what exists all the time, and parts of the network.

An engine says which parts exist at which moments; the values follow from the closed forms, and the
lines from the same parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from workbench.estimate.ledger import Line, Moment, merged
from workbench.estimate.network.symbols import SYMBOLS

if TYPE_CHECKING:
    from types import CodeType

    from workbench.estimate.network.network import Sized
    from workbench.estimate.network.sizes import Segment, Sizes
    from workbench.estimate.tape.compile import Tally

TAPE = "the tape of workbench/estimate/network, checked against the trainer's own code"


_FEW_RUNS = 8


class Part(NamedTuple):
    """A group of tensors of a segment, some times over.

    Attributes:
        segment: ``front``, ``tail``, or the number of a kind of block.
        group: A field of `Sizes`.
        times: How often.
    """

    segment: str | int
    group: str
    times: int = 1


@dataclass(frozen=True, slots=True)
class Standing:
    """What exists all the time.

    Attributes:
        lines: The lines.
        bytes: Their sum.
        host: What stands in the host's memory, where that is another one.
        apart: Whether it is another one; the memory of a CPU is the host's.
    """

    lines: tuple[Line, ...]
    bytes: int
    host: tuple[Line, ...] = ()
    apart: bool = False

    @classmethod
    def of(cls, *lines: Line, apart: bool = False) -> Standing:
        """The lines and their sum; where the host's memory is ``apart``, without what is there."""
        if not apart:
            return cls(lines, sum(line.bytes for line in lines))
        host = tuple(line for line in lines if line.stream == "host")
        here = tuple(line for line in lines if line.stream != "host")
        return cls(here, sum(line.bytes for line in here), host, apart=True)


@lru_cache(maxsize=256)
def notable_runs(runs: tuple[tuple[int, int], ...]) -> frozenset[int]:
    """The runs whose moments can be the largest.

    All of them in a network of few. Where kinds of block take turns, as with every second block
    dense, memory moves in a straight line from one turn to the next: the first two and the last two
    turns of each kind are enough.
    """
    if len(runs) <= _FEW_RUNS:
        return frozenset(range(len(runs)))
    places: dict[tuple[int, int], list[int]] = {}
    for index, run in enumerate(runs):
        places.setdefault(run, []).append(index)
    return frozenset(index for found in places.values() for index in (*found[:2], *found[-2:]))


def moment(
    name: str, net: Sized, standing: Standing, parts: list[Part], extra: tuple[Line, ...] = ()
) -> Moment:
    """A moment at which parts of the network and extra lines exist beside what stands."""
    total = standing.bytes
    if standing.apart:
        extra = tuple(line for line in extra if line.stream != "host")
    front, blocks, tail = net.front, net.blocks, net.tail
    for segment, group, times in parts:
        # As `sizes_of`, without a call: this is what an estimate spends its time with.
        sizes = blocks[segment] if isinstance(segment, int) else front
        total += times * getattr(tail if segment == "tail" else sizes, group)
    gather = reduce = 0
    for line in extra:
        total += line.bytes
        if line.stream == "gather":
            gather += line.bytes
        elif line.stream == "reduce":
            reduce += line.bytes

    def explain() -> list[Line]:
        lines = [*standing.lines, *extra]
        for part in parts:
            lines += part_lines(net, part)
        return merged(lines)

    return Moment(name, total, explain, gather, reduce)


def sizes_of(net: Sized, segment: str | int) -> Sizes:
    """The bytes of a part."""
    if isinstance(segment, int):
        return net.blocks[segment]
    return net.front if segment == "front" else net.tail


def parts_with_weights(net: Sized) -> list[tuple[str, str | int, int]]:
    """(what, part, how often) of everything that has weights."""
    known = net.network.weighty.get(net.runs)
    if known is not None:
        return known
    counts: dict[int, int] = {}
    for kind, count in net.runs:
        counts[kind] = counts.get(kind, 0) + count
    found: list[tuple[str, str | int, int]] = [("embedding", "front", 1)]
    for kind, count in counts.items():
        name = net.network.blocks[kind].name
        found.append((name if count == 1 else f"{count} {many(name)}", kind, count))
    found.append(("output", "tail", 1))
    found = [each for each in found if sizes_of(net, each[1]).weights]
    net.network.weighty[net.runs] = found
    return found


def buffer_lines(net: Sized) -> list[Line]:
    """What stands beside the weights and learns nothing."""
    counts: dict[int, int] = {}
    for kind, count in net.runs:
        counts[kind] = counts.get(kind, 0) + count
    source = "workbench/models/moe_balance.py: fp32, whole on every device"
    lines = [
        Line(f"router biases of {count} blocks", "4 E", count * size, "weights", source)
        for kind, count in counts.items()
        if (size := net.blocks[kind].buffers)
    ]
    if net.remembers:
        rest = net.symbols[_LENGTH] % _ROWS
        rows = min(_ROWS, net.symbols[_LENGTH])
        size = net.remembers * (rows**2 + (rest**2 if rows == _ROWS else 0))
        formula = f"{net.remembers} ({rows}² + (T mod {_ROWS})²)"
        lines.append(Line(_LATER, formula, size, "temporaries", _ATTENTION))
    return lines


_LENGTH = SYMBOLS.index("T")
_ROWS = 64
_LATER = "masks of later positions, kept for the next call of attention"
_ATTENTION = "kernels/ava_kernels/attention.py"


def segment_of(net: Sized, segment: str | int) -> Segment:
    """The closed forms of a part."""
    if isinstance(segment, int):
        return net.network.blocks[segment]
    return net.network.front if segment == "front" else net.network.tail


def many(name: str) -> str:
    """The name of a kind of block, for several of them."""
    return name.replace("block", "blocks", 1) if "block" in name else f"{name}s"


def part_lines(net: Sized, part: Part) -> list[Line]:
    """The tensors of a part, each with its formula."""
    if not part.times:
        return []
    segment = segment_of(net, part.segment)
    where = segment.name if part.times == 1 else f"{part.times} {many(segment.name)}"
    return tally_lines(net, segment.groups[part.group], where, part.times)


def tally_lines(net: Sized, tallies: tuple[Tally, ...], where: str, count: int) -> list[Line]:
    """The tensors of the largest of some moments, so many times over, each with its formula."""
    scope = dict(zip(SYMBOLS, net.symbols, strict=True))
    alignment = scope["A"]

    def value(size: str) -> int:
        exact = int(eval(_code(size), {}, scope))  # noqa: S307 - our own arithmetic
        return -(-exact // alignment) * alignment

    if not tallies:
        return []
    tally = max(tallies, key=lambda each: sum(value(e.size) * e.times for e in each.entries))
    lines = []
    for entry in tally.entries:
        times = entry.times * count
        text = entry.size.replace("*", " ")
        lines.append(
            Line(
                f"{where}: {entry.label}",
                text if times == 1 else f"{times} × {text}",
                times * value(entry.size),
                entry.category,  # type: ignore[arg-type]
                TAPE,
            )
        )
    return lines


@lru_cache(maxsize=4096)
def _code(size: str) -> CodeType:
    """A size in symbols, compiled."""
    return compile(size, "<size>", "eval")
