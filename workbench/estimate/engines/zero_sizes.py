"""How DeepSpeed cuts a network: two groups of weights, each in flat pieces.

Weights with decay are one group, norms and biases the other (`training/optim/groups.py`). Inside a
group weights stand in the order in which the model registers them, and a device owns an equal piece
of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from workbench.estimate.rounding import up
from workbench.estimate.tensors import trained_weights

if TYPE_CHECKING:
    from workbench.estimate.engines.zero_flow import Gradient
    from workbench.estimate.network.network import Sized
    from workbench.estimate.network.sizes import Segment

_EARLY = frozenset({"lm_head_bias", "output_bias", "distances"})
"""Weights of later parts of the network that the model itself registers, before its blocks."""


class Row(NamedTuple):
    """The trained weights of a part of the network.

    Attributes:
        part: ``front``, ``tail``, or the number of a kind of block.
        times: How often the part comes.
        weights: (numbers, group, whether it stands before the blocks) of each.
        arrivals: Their places in ``weights``, in the order in which their gradients come.
    """

    part: str | int
    times: int
    weights: tuple[tuple[int, int, bool], ...]
    arrivals: tuple[int, ...]

    def total(self, group: int) -> int:
        """Numbers of one such part in a group, without those that stand before the blocks."""
        return sum(size for size, its, early in self.weights if its == group and not early)


@dataclass(frozen=True, slots=True)
class Pieces:
    """The weights as ZeRO sees them.

    Attributes:
        devices: Devices that share them.
        rows: The parts of the network, from the first to the last.
        numbers: All weights.
        largest: Numbers of the largest weight.
        first: Numbers of one device's piece of the first group.
        second: The same of the second group.
        whole: Weights that begin in the first device's pieces, each counted with all its numbers.
        piece: Numbers of the largest part of a weight in these.
    """

    devices: int
    rows: tuple[Row, ...]
    numbers: int
    largest: int
    first: int
    second: int
    whole: int
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
    parts: dict[str | int, list[tuple[str, int, int]]] = {}
    for each in trained_weights(net):
        parts.setdefault(each.part, []).append((each.name, each.numbers, int(not each.is_matrix)))
    order: list[tuple[str | int, int]] = [("front", 1), *net.runs, ("tail", 1)]
    return _pieces(
        tuple(_row(net, part, times, parts.get(part, [])) for part, times in order), devices
    )


def _row(net: Sized, part: str | int, times: int, weights: list[tuple[str, int, int]]) -> Row:
    places = {name: place for place, (name, _, _) in enumerate(weights)}
    steps = _segment(net, part).steps
    names = () if steps is None else steps.names
    return Row(
        part,
        times,
        tuple((numbers, group, name in _EARLY) for name, numbers, group in weights),
        tuple(places[name] for name in names),
    )


def _segment(net: Sized, part: str | int) -> Segment:
    if isinstance(part, int):
        return net.network.blocks[part]
    return net.network.front if part == "front" else net.network.tail


@lru_cache(maxsize=256)
def _pieces(rows: tuple[Row, ...], devices: int) -> Pieces:
    totals = [
        sum(times * sum(size for size, its, _ in weights if its == group)
            for _, times, weights, _ in rows)
        for group in (0, 1)
    ]  # fmt: skip
    # Pieces begin at multiples of 4 bytes (`nccl_start_alignment_factor`, stage_1_and_2.py).
    first, second = (up(total, 2 * devices) // devices for total in totals)
    whole = piece = 0
    for each in placed(rows, arriving=False):
        inside = min(each.numbers, (first, second)[each.group] - each.begins)
        if inside > 0:
            whole, piece = whole + each.numbers, max(piece, inside)
    return Pieces(
        devices,
        rows,
        sum(totals),
        max((size for row in rows for size, _, _ in row.weights), default=0),
        first,
        second,
        whole,
        piece,
    )


def placed(rows: tuple[Row, ...], *, arriving: bool) -> tuple[Gradient, ...]:
    """Every weight with its place: in the order of their groups, or as gradients come."""
    from workbench.estimate.engines.zero_flow import Gradient

    begins, early = _begins(rows)
    found: list[Gradient] = []
    for index in range(len(rows) - 1, -1, -1) if arriving else range(len(rows)):
        row = rows[index]
        offsets = _offsets(row, early[index])
        order = row.arrivals if arriving else range(len(row.weights))
        for turn in range(row.times):
            before = row.times - 1 - turn if arriving else turn
            for place in order:
                numbers, group, ahead = row.weights[place]
                base = 0 if ahead else begins[index][group] + before * row.total(group)
                found.append(Gradient(numbers, group, base + offsets[place]))
    if arriving:
        return tuple(found)
    return tuple(sorted(found, key=lambda each: (each.group, each.begins)))


def _begins(rows: tuple[Row, ...]) -> tuple[list[list[int]], list[list[int]]]:
    """Where each part begins in both groups; and where what stands before the blocks begins."""
    matrices = rows[0].total(0)  # after the embeddings; the biases come before any norm
    ahead = [
        [sum(row.times * sum(s for s, its, e in row.weights if e and its == group) for row in rows)]
        for group in (0, 1)
    ]
    begins, early = [], []
    place, before = [0, ahead[1][0]], [matrices, 0]
    for index, row in enumerate(rows):
        begins.append(list(place))
        early.append(list(before))
        for group in (0, 1):
            place[group] += row.times * row.total(group)
            before[group] += sum(s for s, its, e in row.weights if e and its == group)
        if index == 0:
            place[0] += ahead[0][0]
    return begins, early


def _offsets(row: Row, early: list[int]) -> list[int]:
    """Where each weight of a part begins, from the part's own beginning or the group's."""
    inside, ahead = [0, 0], list(early)
    found = []
    for numbers, group, is_ahead in row.weights:
        place = ahead if is_ahead else inside
        found.append(place[group])
        place[group] += numbers
    return found
