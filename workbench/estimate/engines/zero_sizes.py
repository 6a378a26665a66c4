"""How DeepSpeed cuts a network: two groups of weights, each in flat pieces, and its buckets.

Weights with decay are one group, norms and biases the other (`training/optim/groups.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from workbench.estimate.rounding import up
from workbench.estimate.tensors import trained_weights

if TYPE_CHECKING:
    from workbench.estimate.network.network import Sized

Row = tuple[tuple[int, ...], int]
"""Numbers of each weight of a part of the network, and how often the part comes."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """The weights as ZeRO sees them.

    Attributes:
        devices: Devices that share them.
        numbers: All weights.
        matrices: Those of the first group, from the first to the last layer.
        vectors: Those of the second.
        largest: Numbers of the largest weight.
        first: Numbers of one device's piece of the first group.
        second: The same of the second group.
        whole: Weights that begin in the first device's pieces, each counted with all its numbers.
        whole_first: Those of the first group.
        piece: Numbers of the largest part of a weight in these.
    """

    devices: int
    numbers: int
    matrices: tuple[Row, ...]
    vectors: tuple[Row, ...]
    largest: int
    first: int
    second: int
    whole: int
    whole_first: int
    piece: int

    @property
    def part(self) -> int:
        """Numbers of one device's pieces."""
        return self.first + self.second

    @property
    def padded(self) -> int:
        """Numbers of all pieces: each group is filled up to equal ones."""
        return self.devices * self.part


def pieces_of(net: Sized, devices: int) -> Pieces:
    """The pieces of a network on the first of ``devices``."""
    parts: dict[str | int, tuple[list[int], list[int]]] = {}
    for each in trained_weights(net):
        matrices, vectors = parts.setdefault(each.part, ([], []))
        (matrices if each.is_matrix else vectors).append(each.numbers)
    order: list[tuple[str | int, int]] = [("front", 1), *net.runs, ("tail", 1)]
    rows = tuple(
        tuple((tuple(parts.get(part, ([], []))[group]), times) for part, times in order)
        for group in (0, 1)
    )
    return _pieces(rows[0], rows[1], devices)


@lru_cache(maxsize=256)
def _pieces(matrices: tuple[Row, ...], vectors: tuple[Row, ...], devices: int) -> Pieces:
    totals = [sum(times * sum(each) for each, times in group) for group in (matrices, vectors)]
    # Pieces begin at multiples of 4 bytes (`nccl_start_alignment_factor`, stage_1_and_2.py).
    first, second = (up(total, 2 * devices) // devices for total in totals)
    held = [_held(matrices, first), _held(vectors, second)]
    return Pieces(
        devices,
        sum(totals),
        matrices,
        vectors,
        max((n for group in (matrices, vectors) for each, _ in group for n in each), default=0),
        first,
        second,
        held[0][0] + held[1][0],
        held[0][0],
        max(held[0][1], held[1][1]),
    )


def _held(rows: tuple[Row, ...], piece: int) -> tuple[int, int]:
    """Numbers of the weights that begin in the first piece, and the largest part of one there."""
    whole = largest = 0
    left = piece
    for each, times in rows:
        size = sum(each)
        if not size or left <= 0:
            continue
        complete = min(times, left // size)
        if complete:
            whole += complete * size
            left -= complete * size
            largest = max(largest, *each)
        if complete < times:
            for numbers in each:
                if left <= 0:
                    break
                whole += numbers
                largest = max(largest, min(numbers, left))
                left -= numbers
    return whole, largest


@dataclass(frozen=True, slots=True)
class Flush:
    """A bucket that is emptied.

    Attributes:
        numbers: What is in it, or the gradient that did not fit into it.
        fits: Whether it did.
        left: Numbers of the gradients that have yet to come.
    """

    numbers: int
    fits: bool
    left: int


@dataclass(frozen=True, slots=True)
class Flushes:
    """How a bucket is emptied while gradients come.

    Attributes:
        first: The first time.
        early: The most that goes while the device has nothing of its own yet; None: never.
        late: The most that goes afterwards, before the last time; None: never.
        last: The last time, when all gradients are there.
        owns: Whether the device has something of its own before the last time.
    """

    first: Flush
    early: Flush | None
    late: Flush | None
    last: Flush
    owns: bool


@lru_cache(maxsize=256)
def flushes(rows: tuple[Row, ...], bucket: int, own: int, *, backwards: bool) -> Flushes:
    """Send gradients through a bucket of so many numbers.

    Args:
        rows: The gradients.
        bucket: What it holds.
        own: Numbers of the weights that begin in this device's pieces: the first ones.
        backwards: Whether the last layer's gradients come first.
    """
    left = sum(times * sum(each) for each, times in rows)
    filled = 0
    first: Flush | None = None
    early: Flush | None = None
    late: Flush | None = None
    owns = False
    for each, times in reversed(rows) if backwards else rows:
        sizes = each[::-1] if backwards else each
        for _ in range(times):
            for numbers in sizes:
                if filled and filled + numbers > bucket:
                    sent = Flush(filled, filled <= bucket, left)
                    first = first or sent
                    if owns:
                        late = _larger(late, sent)
                    else:
                        early = _larger(early, sent)
                    owns = owns or left < own
                    filled = 0
                filled += numbers
                left -= numbers
    last = Flush(filled, filled <= bucket, 0)
    return Flushes(first or last, early, late, last, owns)


def _larger(one: Flush | None, other: Flush) -> Flush:
    return other if one is None or other.numbers > one.numbers else one
