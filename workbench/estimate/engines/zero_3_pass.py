"""A step under ZeRO stage 3, module by module: what it holds at each place of each part.

Shapes do not change what happens, only how much it is: the events of every part were recorded with
it (`tape/modules.py`). Here they meet their weights (`zero_3_window.py`) and their gradients
(`zero_3_flow.py`), once for all blocks of a network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from workbench.estimate.engines.base import segment_of
from workbench.estimate.engines.zero_3_flow import Flow3
from workbench.estimate.engines.zero_3_stays import Place, places_of, weights_at
from workbench.estimate.engines.zero_3_steps import Hold, Step
from workbench.estimate.engines.zero_3_window import Window
from workbench.estimate.engines.zero_backward import At, Passed, at, outer
from workbench.estimate.engines.zero_sizes import placed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from workbench.estimate.engines.zero_3_stays import Stays
    from workbench.estimate.engines.zero_3_steps import Rules
    from workbench.estimate.engines.zero_backward import Slot
    from workbench.estimate.engines.zero_flow import Gradient, Plan
    from workbench.estimate.engines.zero_sizes import Pieces
    from workbench.estimate.network.network import Sized
    from workbench.estimate.tensors import Weight

Visit = tuple[int, Step | Hold | None]
"""The number of an event, and what it is about; None: a gradient comes."""

_OUTER = ("objective", "model")
"""Modules that hold all parts; they begin in the first and end in the last."""

_ENOUGH = 64
"""Results that are kept for the sizes of a network."""


class Passes(NamedTuple):
    """A step.

    Attributes:
        onwards: For each part, from the first one: its slots in the forward pass.
        backward: The same backwards, from the last one.
    """

    onwards: tuple[tuple[Slot, ...], ...]
    backward: Passed


def passes_of(
    net: Sized,
    weights: Sequence[Weight],
    stays: Stays,
    rules: Rules,
    pieces: Pieces,
    plan: Plan,
) -> Passes:
    """Follow a step.

    Args:
        net: The network.
        weights: Its weights, those of equal blocks as one.
        stays: Which of them stay whole.
        rules: How they travel.
        pieces: What learns of them, as ZeRO cuts it.
        plan: How gradients pass.
    """
    known = net.weighed.passes
    key = stays, rules, plan
    found = known.get(key)
    if found is None:
        if len(known) >= _ENOUGH:
            known.clear()
        found = known[key] = Follower(net, weights, stays, rules).follow(pieces, plan)
    return found


class Follower:
    """Gives each place its weights."""

    def __init__(self, net: Sized, weights: Sequence[Weight], stays: Stays, rules: Rules) -> None:
        self.net, self.rules = net, rules
        self.places = places_of(net)
        self.numbers: list[int] = []
        self.stays: list[bool] = []
        self.learns: list[bool] = []
        self._ids: dict[tuple[int, int, str], int] = {}
        self._ends: dict[str, int] = {}
        self._modules: dict[tuple[int, int, str], int] = {}
        self._more = _more_results(net)
        for place, each in weights_at(self.places, weights):
            self._ids[place.run, place.turn, each.name] = len(self.numbers)
            if not isinstance(place.part, int) or place.part == net.middle:
                self._ends[each.name] = len(self.numbers)
            self.numbers.append(each.numbers)
            self.stays.append(stays.has(place, each))
            self.learns.append(each.trained)

    def follow(self, pieces: Pieces, plan: Plan) -> Passes:
        """The whole step."""
        onwards = [list(self.visits(each, backward=False)) for each in self.places]
        back = [list(self.visits(each, backward=True)) for each in reversed(self.places)]
        steps = [
            step for visits in (*onwards, *back) for _, step in visits if isinstance(step, Step)
        ]
        window = self._window(steps)
        flow = Flow3(plan)
        gradients = placed(pieces.rows, arriving=True)
        first = self._slots(self.places, onwards, window, flow, ())
        second = self._slots([*reversed(self.places)], back, window, flow, gradients)
        end = flow.end()
        return Passes(first, Passed(second, end, flow.held))

    def _window(self, steps: Sequence[Step]) -> Window:
        """A window as it is in every step but the first.

        Where a step has several micro-batches, the second one of the first step is the first that
        knows the order of the modules, and what stays whole is not there yet.
        """
        decided = None
        if self.rules.accumulating and any(self.stays):
            outer_ = {w for step in steps if step.module in self._outer() for w in step.weights}
            there = [whole and w in outer_ for w, whole in enumerate(self.stays)]
            first = Window(self.rules, self.numbers, self.stays, self.learns, steps, there=there)
            for step in steps:
                first.see(step)
            decided = first.decided
        return Window(self.rules, self.numbers, self.stays, self.learns, steps, decided=decided)

    def _outer(self) -> set[int]:
        """The numbers of the modules that hold all parts."""
        return {self._modules[0, 0, name] for name in _OUTER}

    def visits(self, place: Place, *, backward: bool) -> Iterator[Visit]:
        """The events of a place: their numbers, and what they do to modules."""
        segment = segment_of(self.net, place.part)
        pass_ = segment.steps if backward else segment.onwards
        assert pass_ is not None
        for index, event in enumerate(pass_.events):
            if event.kind == "come":
                yield index, None
                continue
            if event.kind in ("hold", "let go"):
                weight = self._ids.get((place.run, place.turn, event.name))
                if weight is None:
                    weight = self._ends[event.name]
                yield index, Hold(weight, event.kind == "hold")
                continue
            outer_ = event.name in _OUTER
            where = (0, 0) if outer_ else (place.run, place.turn)
            step = Step(
                self._modules.setdefault((*where, event.name), len(self._modules)),
                event.kind.startswith("fetch"),
                event.kind.endswith("back"),
                self._weights(place, event.name),
                inside=backward and event.kind == "fetch",
            )
            times = 1
            if place.part == "tail" and event.kind == "fetch back":
                times += self._more.pop(event.name, 0)
            for _ in range(times):
                yield index, step

    def _weights(self, place: Place, module: str) -> tuple[int, ...]:
        """The weights of a module, by number."""
        own = segment_of(self.net, place.part).modules.get(module)
        if own is None or module in _OUTER:
            own = self.net.network.front.modules[module]
        found = []
        for name in own:
            number = self._ids.get((place.run, place.turn, name))
            if number is None or module in _OUTER:
                number = self._ends[name]
            found.append(number)
        if module == "objective":
            # It has asked for what was not there when it was first read. The model's own weights
            # had been released; a matrix of the output that stays whole never was.
            model = self.net.network.front.modules["model"]
            pairs = zip(own, found, strict=True)
            found = [number for name, number in pairs if name in model or not self.stays[number]]
        return tuple(found)

    def _slots(
        self,
        places: Sequence[Place],
        visits: Sequence[Sequence[Visit]],
        window: Window,
        flow: Flow3,
        gradients: Sequence[Gradient],
    ) -> tuple[tuple[Slot, ...], ...]:
        """What is held at each slot of each part, over all blocks of its kind."""
        coming = iter(gradients)
        found: list[tuple[Slot, ...]] = []
        slots: list[list[At]] = []
        turn = 0
        for place, seen in zip(places, visits, strict=True):
            turn += 1
            if not slots:
                turn = 0
                slots = [[] for _ in range(2 * _events(seen) + 1)]
            for index, step in seen:
                flow.fetch(window.bytes)
                if step is None:
                    event = flow.come(next(coming))
                    _add(slots[2 * index], at(turn, event.before))
                    _add(slots[2 * index + 1], at(turn, event.held, event.sides))
                    continue
                _add(slots[2 * index], at(turn, flow.held))
                if isinstance(step, Hold):
                    window.hold(step)
                    continue
                window.see(step)
                if step.begins:
                    flow.fetch(window.most)
                    _add(slots[2 * index + 1], at(turn, flow.held))
            flow.fetch(window.bytes)
            _add(slots[-1], at(turn, flow.held))
            if turn == place.times - 1:
                found.append(tuple(outer(slot) for slot in slots))
                slots = []
        return tuple(found)


def _add(slot: list[At], each: At) -> None:
    """The larger one where something happens twice at a place."""
    if slot and slot[-1].turn == each.turn:
        slot[-1] = max(slot[-1], each, key=lambda one: one.bytes)
    else:
        slot.append(each)


def _events(seen: Sequence[Visit]) -> int:
    return seen[-1][0] + 1 if seen else 0


def _more_results(net: Sized) -> dict[str, int]:
    """How many gradients reach results of the outer modules that their record does not tell.

    The losses of routers: the model hands each of them on, and the objective their sum, which is a
    part of the loss itself where that is not the plain one.
    """
    routed = 0
    for kind, count in net.runs:
        steps = segment_of(net, kind).steps
        assert steps is not None
        begun = sum(each[2:] == ("fetch back", "block") for each in steps.events)
        routed += count * max(begun - 1, 0)
    alone = net.special or net.ahead
    return {"model": routed, "objective": int(routed > 0 and not alone)}
