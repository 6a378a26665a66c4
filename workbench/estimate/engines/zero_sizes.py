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

Arrival = tuple[tuple[tuple[int, int], ...], int]
"""Numbers and group of each weight of a part of the network, and how often the part comes."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """The weights as ZeRO sees them.

    Attributes:
        devices: Devices that share them.
        numbers: All weights.
        matrices: Those of the first group, from the first to the last layer.
        vectors: Those of the second.
        together: All of them, from the first to the last layer.
        largest: Numbers of the largest weight.
        first: Numbers of one device's piece of the first group.
        second: The same of the second group.
        whole: Weights that begin in the first device's pieces, each counted with all its numbers.
        piece: Numbers of the largest part of a weight in these.
    """

    devices: int
    numbers: int
    matrices: tuple[Row, ...]
    vectors: tuple[Row, ...]
    together: tuple[Arrival, ...]
    largest: int
    first: int
    second: int
    whole: int
    piece: int

    @property
    def in_groups(self) -> tuple[Arrival, ...]:
        """All weights, one group after the other."""
        return tuple(
            (tuple((numbers, group) for numbers in each), times)
            for group, rows in enumerate((self.matrices, self.vectors))
            for each, times in rows
        )

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
    parts: dict[str | int, list[tuple[int, int]]] = {}
    for each in trained_weights(net):
        parts.setdefault(each.part, []).append((each.numbers, int(not each.is_matrix)))
    order: list[tuple[str | int, int]] = [("front", 1), *net.runs, ("tail", 1)]
    return _pieces(tuple((tuple(parts.get(part, ())), times) for part, times in order), devices)


@lru_cache(maxsize=256)
def _pieces(together: tuple[Arrival, ...], devices: int) -> Pieces:
    matrices, vectors = (
        tuple(
            (tuple(size for size, its in each if its == group), times) for each, times in together
        )
        for group in (0, 1)
    )
    totals = [sum(times * sum(each) for each, times in group) for group in (matrices, vectors)]
    # Pieces begin at multiples of 4 bytes (`nccl_start_alignment_factor`, stage_1_and_2.py).
    first, second = (up(total, 2 * devices) // devices for total in totals)
    held = [_held(matrices, first), _held(vectors, second)]
    return Pieces(
        devices,
        sum(totals),
        matrices,
        vectors,
        together,
        max((n for group in (matrices, vectors) for each, _ in group for n in each), default=0),
        first,
        second,
        held[0][0] + held[1][0],
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
        row: What of it is copied into a row first: nothing where it is for one device.
        left: Numbers of the gradients that have yet to come.
    """

    numbers: int
    fits: bool
    row: int
    left: int

    @property
    def taken(self) -> int:
        """Numbers that it holds beside the bucket."""
        return self.row + (0 if self.fits else self.numbers)


@dataclass(frozen=True, slots=True)
class Flushes:
    """How a bucket is emptied while gradients come.

    Attributes:
        first: The first time.
        early: The most that goes while the device has nothing of its own yet; None: never.
        late: The most that goes afterwards, before the last time; None: never.
        last: The last time, when all gradients are there.
        owns_at: Numbers of the gradients that have yet to come when the device first has something
            of its own; -1 where that is at the last time.
        large: Of each gradient that is larger than the bucket: its numbers, and those of the
            gradients that have yet to come after it.
        total: Numbers of all gradients.
    """

    first: Flush
    early: Flush | None
    late: Flush | None
    last: Flush
    owns_at: int
    large: tuple[tuple[int, int], ...]
    total: int

    def large_before(self, left: int) -> int:
        """Numbers of the gradients larger than the bucket that came before the last ``left``."""
        return sum(numbers for numbers, after in self.large if after >= left)

    def fitting_before(self, left: int) -> int:
        """Numbers of the other gradients that came before the last ``left``."""
        return self.total - left - self.large_before(left)


@lru_cache(maxsize=256)
def flushes(
    rows: tuple[Arrival, ...], bucket: int, own: tuple[int, int], *, backwards: bool
) -> Flushes:
    """Send gradients through a bucket of so many numbers.

    Args:
        rows: The gradients.
        bucket: What it holds.
        own: Numbers of this device's pieces of both groups: the first ones.
        backwards: Whether the last layer's gradients come first.
    """
    total = [
        sum(times * sum(size for size, its in each if its == group) for each, times in rows)
        for group in (0, 1)
    ]
    seen = [0, 0]
    first: Flush | None = None
    early: Flush | None = None
    late: Flush | None = None
    owns_at = -1
    large: list[tuple[int, int]] = []
    held = _Bucket(bucket)
    for each, times in reversed(rows) if backwards else rows:
        sizes = each[::-1] if backwards else each
        for _ in range(times):
            for numbers, group in sizes:
                if held.filled and held.filled + numbers > bucket:
                    sent = held.sent(sum(total) - sum(seen))
                    first = first or sent
                    if owns_at >= 0:
                        late = _larger(late, sent)
                    else:
                        early = _larger(early, sent)
                    if held.owns and owns_at < 0:
                        owns_at = sent.left
                    held = _Bucket(bucket)
                begins = total[group] - seen[group] - numbers if backwards else seen[group]
                held.add(numbers, begins, own[group])
                seen[group] += numbers
                if numbers > bucket:
                    large.append((numbers, sum(total) - sum(seen)))
    last = held.sent(0)
    return Flushes(first or last, early, late, last, owns_at, tuple(large), sum(total))


class _Bucket:
    """What waits in a bucket, and for whom."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.filled = 0
        self.owns = False
        self._to: set[int] = set()
        self._row = 0

    def add(self, numbers: int, begins: int, piece: int) -> None:
        """Put a gradient in.

        Args:
            numbers: Its size.
            begins: Where it begins in its group.
            piece: Numbers of a device's piece of the group; 0 where nobody asks for whom it is.
        """
        self.filled += numbers
        if not piece:
            return
        self.owns = self.owns or begins < piece
        first, last = begins // piece, (begins + max(numbers, 1) - 1) // piece
        self._to |= {first, last}
        if numbers > self.size:
            self._row = _slices(numbers, begins, piece, self.size)

    def sent(self, left: int) -> Flush:
        """What it is when it is emptied."""
        fits = self.filled <= self.size
        row = (self.filled if len(self._to) > 1 else 0) if fits else self._row
        return Flush(self.filled, fits, row, left)


def _slices(numbers: int, begins: int, piece: int, bucket: int) -> int:
    """The longest row of slices of a gradient that is larger than the bucket.

    Slices for one device after the other are put in a row until they are more than a bucket; one
    alone is sent from where it is (`allreduce_and_scatter`, stage_1_and_2.py).
    """
    longest = row = count = 0
    place, end = begins, begins + numbers
    while place < end:
        after = min(end, (place // piece + 1) * piece)
        row, count = row + after - place, count + 1
        place = after
        if row > bucket or place == end:
            longest = max(longest, row if count > 1 else 0)
            row = count = 0
    return longest


def _larger(one: Flush | None, other: Flush) -> Flush:
    return other if one is None or other.taken > one.taken else one
