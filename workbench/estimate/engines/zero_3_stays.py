"""Which weights stay whole under ZeRO stage 3: small ones, as long as there is room.

`mark_persistent_parameters` goes through the weights as the model registers them (DeepSpeed 0.19.8,
runtime/zero/parameter_offload.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from workbench.estimate.engines.zero_names import is_own, model_name, own_place, registered

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from workbench.estimate.network.network import Sized
    from workbench.estimate.tensors import Weight


class Place(NamedTuple):
    """One of the parts of a network, as they follow each other.

    Attributes:
        part: ``front``, ``tail``, or the number of a kind of block.
        run: Which row of equal blocks it belongs to.
        turn: Its place in there, from the first.
        times: Blocks in there.
    """

    part: str | int
    run: int
    turn: int
    times: int


class Stays(NamedTuple):
    """Which weights stay whole.

    Attributes:
        largest: Numbers of the largest that may.
        but: (run, turn, name) of those that may, and have found no room.
    """

    largest: int
    but: frozenset[tuple[int, int, str]] = frozenset()

    def has(self, place: Place, weight: Weight) -> bool:
        """Whether one does."""
        small = weight.numbers <= self.largest
        return small and (place.run, place.turn, weight.name) not in self.but


def places_of(net: Sized) -> list[Place]:
    """The parts of a network, from the first to the last."""
    order: list[tuple[str | int, int]] = [("front", 1), *net.runs, ("tail", 1)]
    return [
        Place(part, run, turn, times)
        for run, (part, times) in enumerate(order)
        for turn in range(times)
    ]


def weights_at(
    places: Sequence[Place], weights: Sequence[Weight]
) -> Iterator[tuple[Place, Weight]]:
    """The weights of each place; of blocks of a kind they are given once."""
    own: dict[str | int, list[Weight]] = {}
    for each in weights:
        own.setdefault(each.part, []).append(each)
    for place in places:
        for each in own.get(place.part, ()):
            yield place, each


def stays_of(net: Sized, weights: Sequence[Weight], largest: int, room: int | None) -> Stays:
    """Which weights stay whole.

    Args:
        net: The network.
        weights: Its weights, those of equal blocks as one.
        largest: Numbers of the largest that may (``stage3_param_persistence_threshold``).
        room: Numbers of all that may (``stage3_model_persistence_threshold``); None: any.
    """
    if room is None:
        return Stays(largest)
    taken, without = 0, set[tuple[int, int, str]]()
    for place, each in _registered(net, weights):
        if each.numbers > largest:
            continue
        if taken + each.numbers > room:
            without.add((place.run, place.turn, each.name))
        else:
            taken += each.numbers
    return Stays(largest, frozenset(without))


def _registered(net: Sized, weights: Sequence[Weight]) -> list[tuple[Place, Weight]]:
    ordered: dict[str | int, list[Weight]] = {}
    for part in dict.fromkeys(each.part for each in weights):
        own = [each for each in weights if each.part == part]
        names = tuple(model_name(each.name) for each in own)
        ordered[part] = [own[place] for place in registered(names)]
    every = [each for part in ordered.values() for each in part]
    found = list(weights_at(places_of(net), every))
    first = sorted(
        (pair for pair in found if is_own(pair[1].name)), key=lambda pair: own_place(pair[1].name)
    )
    return [*first, *(pair for pair in found if not is_own(pair[1].name))]
