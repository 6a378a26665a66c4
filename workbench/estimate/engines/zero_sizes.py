"""How DeepSpeed cuts a network: two groups of weights, each in flat pieces.

Weights with decay are one group, norms and biases the other (`training/optim/groups.py`). Inside a
group weights stand in the order in which the model registers them, or are dealt out to the devices
in turns, and a device owns an equal piece of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from workbench.estimate.engines.zero_names import (
    blocks_of,
    is_own,
    is_spared,
    model_name,
    own_place,
    registered,
)
from workbench.estimate.rounding import up
from workbench.estimate.tensors import trained_weights

if TYPE_CHECKING:
    from workbench.estimate.engines.zero_flow import Gradient
    from workbench.estimate.network.network import Sized
    from workbench.estimate.network.sizes import Segment
    from workbench.estimate.tensors import Weight

_NO = -1
"""The place of a weight that is not the model's own."""


class Row(NamedTuple):
    """The trained weights of a part of the network.

    Attributes:
        part: ``front``, ``tail``, or the number of a kind of block.
        times: How often the part comes.
        weights: (numbers, group, place among the model's own weights) of each, as registered.
        arrivals: Their places in ``weights``, in the order in which their gradients come.
        others: For each time that the part comes, the places of those whose group is the other
            one; empty where no name has a number that matters.
    """

    part: str | int
    times: int
    weights: tuple[tuple[int, int, int], ...]
    arrivals: tuple[int, ...]
    others: tuple[frozenset[int], ...] = ()

    def group(self, turn: int, place: int) -> int:
        """The group of a weight."""
        group = self.weights[place][1]
        return 1 - group if self.others and place in self.others[turn] else group


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
        begun: For both groups, the numbers of weights that begin in the first device's piece.
        piece: Numbers of the largest part of a weight in these.
        dealt: To how many devices weights are dealt out in turns; 1: they are not.
    """

    devices: int
    rows: tuple[Row, ...]
    numbers: int
    largest: int
    first: int
    second: int
    begun: tuple[tuple[int, ...], tuple[int, ...]]
    piece: int
    dealt: int = 1

    @property
    def whole(self) -> int:
        """Numbers of the weights that begin in the first device's pieces, whole."""
        return sum(map(sum, self.begun))

    @property
    def part(self) -> int:
        """Numbers of one device's pieces."""
        return self.first + self.second

    @property
    def padded(self) -> int:
        """Numbers of all pieces: each group is filled up to equal ones."""
        return self.devices * self.part


def pieces_of(
    net: Sized, devices: int, spared: tuple[str, ...] | None = None, *, deals: bool = False
) -> Pieces:
    """The pieces of a network on the first of ``devices``.

    Args:
        net: The network.
        devices: Devices that share it.
        spared: Parts of the names of weights without decay; None: norms and biases.
        deals: Whether weights are dealt out in turns.
    """
    key, known = (devices, spared, deals), net.weighed.pieces
    if key not in known:
        known[key] = _pieces_of(net, *key)
    return known[key]


def _pieces_of(
    net: Sized,
    devices: int,
    spared: tuple[str, ...] | None,
    deals: bool,  # noqa: FBT001 - part of a key
) -> Pieces:
    parts: dict[str | int, list[Weight]] = {}
    for each in trained_weights(net):
        parts.setdefault(each.part, []).append(each)
    blocks = [[""] * count for _, count in net.runs] if spared is None else blocks_of(net)
    kinds = [kind for kind, _ in net.runs]
    order: list[tuple[str | int, list[str]]] = [("front", [""]), ("tail", [""])]
    order[1:1] = zip(kinds, blocks, strict=True)
    rows = tuple(_row(net, part, begins, parts.get(part, []), spared) for part, begins in order)
    return _pieces(rows, devices, devices if deals else 1)


def _row(
    net: Sized,
    part: str | int,
    begins: list[str],
    weights: list[Weight],
    spared: tuple[str, ...] | None,
) -> Row:
    names = tuple(model_name(each.name) for each in weights)
    order = registered(names)
    places = {weights[old].name: new for new, old in enumerate(order)}
    steps = _segment(net, part).steps
    arriving = () if steps is None else steps.names
    groups = [
        tuple(_group(begin + names[old], weights[old], spared) for old in order)
        for begin in (begins[:1] if spared is None else begins)
    ]
    first = groups[0]
    others: tuple[frozenset[int], ...] = tuple(
        frozenset(place for place, one in enumerate(each) if one != first[place]) for each in groups
    )
    return Row(
        part,
        len(begins),
        tuple(
            (
                weights[old].numbers,
                group,
                own_place(names[old]) if is_own(names[old]) else _NO,
            )
            for old, group in zip(order, first, strict=True)
        ),
        tuple(places[name] for name in arriving),
        others if any(others) else (),
    )


def _group(name: str, weight: Weight, spared: tuple[str, ...] | None) -> int:
    """0 with decay, 1 without."""
    if spared is None:
        return int(not weight.is_matrix)
    return int(is_spared(name, spared))


def _segment(net: Sized, part: str | int) -> Segment:
    if isinstance(part, int):
        return net.network.blocks[part]
    return net.network.front if part == "front" else net.network.tail


@lru_cache(maxsize=256)
def _pieces(rows: tuple[Row, ...], devices: int, dealt: int) -> Pieces:
    totals = [0, 0]
    for row in rows:
        for turn in range(row.times):
            for place, (size, _, _) in enumerate(row.weights):
                totals[row.group(turn, place)] += size
    # Pieces begin at multiples of 4 bytes (`nccl_start_alignment_factor`, stage_1_and_2.py).
    first, second = (up(total, 2 * devices) // devices for total in totals)
    begun: tuple[list[int], list[int]] = ([], [])
    piece = 0
    for each in placed(rows, arriving=False, dealt=dealt):
        inside = min(each.numbers, (first, second)[each.group] - each.begins)
        if inside > 0:
            begun[each.group].append(each.numbers)
            piece = max(piece, inside)
    return Pieces(
        devices,
        rows,
        sum(totals),
        max((size for row in rows for size, _, _ in row.weights), default=0),
        first,
        second,
        (tuple(begun[0]), tuple(begun[1])),
        piece,
        dealt,
    )


@lru_cache(maxsize=512)
def placed(rows: tuple[Row, ...], *, arriving: bool, dealt: int = 1) -> tuple[Gradient, ...]:
    """Every weight with its place: in the order of their groups, or as gradients come.

    Args:
        rows: The weights.
        arriving: Whether as gradients come; else group after group, as the model registers them.
        dealt: To how many devices weights are dealt out in turns.
    """
    from workbench.estimate.engines.zero_flow import Gradient

    keys = _registered(rows)
    order = {key: place for place, key in enumerate(keys)}
    found: dict[tuple[int, int, int], Gradient] = {}
    for group in (0, 1):
        members = [each for each in keys if rows[each[0]].group(each[1], each[2]) == group]
        place = 0
        for turn in range(dealt):
            for key in members[turn::dealt]:
                numbers = rows[key[0]].weights[key[2]][0]
                found[key] = Gradient(numbers, group, place, order[key])
                place += numbers
    if not arriving:
        return tuple(sorted((found[key] for key in keys), key=lambda each: each.group))
    return tuple(
        found[index, turn, place]
        for index in range(len(rows) - 1, -1, -1)
        for turn in range(rows[index].times - 1, -1, -1)
        for place in rows[index].arrivals
    )


def _registered(rows: tuple[Row, ...]) -> list[tuple[int, int, int]]:
    """(row, how many of its parts come before, weight) of all, as the model registers them."""
    every = [
        (index, turn, place)
        for index, row in enumerate(rows)
        for turn in range(row.times)
        for place in range(len(row.weights))
    ]

    def own(key: tuple[int, int, int]) -> int:
        return rows[key[0]].weights[key[2]][2]

    first = sorted((key for key in every if own(key) != _NO), key=own)
    return [*first, *(key for key in every if own(key) == _NO)]
