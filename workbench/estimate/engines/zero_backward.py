"""The backward pass under ZeRO stages 1 and 2: what exists as each gradient comes.

Between blocks of one kind the activations change in a straight line, what ZeRO holds does not; of
all blocks of a run those are looked at that can hold the largest sum.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.estimate.engines.base import Part, part_lines, segment_of, sizes_of, tally_lines
from workbench.estimate.engines.single import left_by
from workbench.estimate.engines.single_plan import BETWEEN
from workbench.estimate.engines.zero_flow import SIDES, Event, Flow, Held, Staying
from workbench.estimate.engines.zero_sizes import placed
from workbench.estimate.ledger import Line, Moment, merged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.estimate.engines.base import Standing
    from workbench.estimate.engines.zero_flow import Plan, Sides
    from workbench.estimate.engines.zero_sizes import Row
    from workbench.estimate.ledger import Category
    from workbench.estimate.network.network import Sized

SOURCE = "DeepSpeed 0.19.8, runtime/zero/stage_1_and_2.py"
FETCHING = "DeepSpeed 0.19.8, runtime/zero/partitioned_param_coordinator.py"
ON_THEIR_WAY = "gradients on their way"

_NEVER = 10**6
"""A slot that no part has."""


class At(NamedTuple):
    """What ZeRO holds at a place of a block.

    Attributes:
        turn: Which block of its run it is, from the last one.
        bytes: What is held, with what exists for a moment.
        held: What is held.
        sides: What exists for a moment.
    """

    turn: int
    bytes: int
    held: Held
    sides: Sides


Slot = tuple[At, ...]
"""The blocks of a run that can hold the most at one place."""


class Passed(NamedTuple):
    """A backward pass.

    Attributes:
        runs: For each part, from the last one: its slots, before and at each gradient, and after
            the last of them.
        end: When all gradients have come.
        held: What is held then.
        left: What is left of it until the update is over.
    """

    runs: tuple[tuple[Slot, ...], ...]
    end: Event
    held: Held
    left: Held = Held()


@lru_cache(maxsize=512)
def passed(rows: tuple[Row, ...], plan: Plan, standing: int) -> Passed:
    """Let the gradients of a network come, and go on their way meanwhile."""
    return _passed(rows, plan, Flow(plan, standing))


@lru_cache(maxsize=512)
def staying(rows: tuple[Row, ...], plan: Plan, standing: int) -> Passed:
    """Let the gradients of a network come and stay where they are."""
    return _passed(rows, plan, Staying(plan, standing))


def _passed(rows: tuple[Row, ...], plan: Plan, flow: Flow) -> Passed:
    gradients = iter(placed(rows, arriving=True, dealt=plan.dealt))
    runs = []
    for row in reversed(rows):
        slots: list[list[At]] = [[] for _ in range(2 * len(row.arrivals) + 1)]
        for turn in range(row.times):
            for index in range(len(row.arrivals)):
                event = flow.come(next(gradients))
                slots[2 * index].append(at(turn, event.before))
                slots[2 * index + 1].append(at(turn, event.held, event.sides))
            slots[-1].append(at(turn, flow.held))
        runs.append(tuple(outer(slot) for slot in slots))
    end = flow.end()
    return Passed(tuple(runs), end, flow.held, flow.left)


class Afterwards(NamedTuple):
    """Gradients that go on their way when the backward pass is over.

    Attributes:
        most: The largest moment.
        left: What is left until the update is over.
    """

    most: At
    left: Held


@lru_cache(maxsize=512)
def afterwards(rows: tuple[Row, ...], plan: Plan, standing: int) -> Afterwards:
    """Let them come when the backward pass is over, group after group."""
    flow = Flow(plan, standing)
    found = [_of(flow.come(each)) for each in placed(rows, arriving=False, dealt=plan.dealt)]
    found.append(_of(flow.end()))
    return Afterwards(max(found, key=lambda each: each.bytes), flow.left)


def at(turn: int, held: Held, sides: Sides = ()) -> At:
    """What is held at a block, and for a moment."""
    beside = sum([size for _, size in sides]) if sides else 0
    return At(turn, sum(held) + beside, held, sides)


def _of(event: Event) -> At:
    return at(0, event.held, event.sides)


def outer(slot: list[At]) -> Slot:
    """The upper hull: those that are largest when something linear in the turn is added."""
    hull: list[At] = []
    for each in slot:
        while len(hull) > 1 and _below(hull[-2], hull[-1], each):
            hull.pop()
        hull.append(each)
    return tuple(hull)


def _below(first: At, middle: At, last: At) -> bool:
    """Whether the middle one is no higher than the line between the others."""
    rise = (last.bytes - first.bytes) * (middle.turn - first.turn)
    return (middle.bytes - first.bytes) * (last.turn - first.turn) <= rise


def moments(net: Sized, base: Standing, found: Passed, plan: Plan) -> list[Moment]:
    """The largest moment of each part's backward pass, and the largest as a gradient comes."""
    quiet = []
    best = moment_at(net, base, ON_THEIR_WAY, [], None, _of(found.end), plan)
    for part, count, slots, around in _walk(net, found):
        shared, summed = _shared(net, part)
        for index, each in _largest(net, part, count, slots, summed):
            parts = [*around.before, *(around.after if index < summed else shared)]
            if isinstance(part, int):
                parts.append(Part(part, "saved", count - 1 - each.turn))
                parts += left_by(net, part, each.turn)
            way = segment_of(net, part).steps
            comes = way is not None and way.comes(index)
            name = ON_THEIR_WAY if comes else around.name(net, part, each.turn)
            one = moment_at(net, base, name, parts, (part, index), each, plan)
            if not comes:
                quiet.append(one)
            elif one.bytes > best.bytes:
                best = one
    return [*quiet, best]


class _Around(NamedTuple):
    """What there is beside a part while gradients come.

    Attributes:
        before: What earlier parts keep.
        after: What later parts have left.
        place: The number of its last block.
        total: Blocks of the network.
    """

    before: list[Part]
    after: list[Part]
    place: int
    total: int

    def name(self, net: Sized, part: str | int, turn: int) -> str:
        """What its backward pass is called."""
        if not isinstance(part, int):
            return "loss, backward" if part == "tail" else "embedding, backward"
        if part == net.middle:
            return f"{BETWEEN}, backward"
        return f"block {self.place - turn} of {self.total}, backward"


def _walk(net: Sized, found: Passed) -> Iterator[tuple[str | int, int, tuple[Slot, ...], _Around]]:
    """The parts from the last to the first, how often each comes, and what is around them."""
    before = [Part("front", "saved"), *(Part(kind, "saved", count) for kind, count in net.runs)]
    total = sum(count for kind, count in net.runs if kind != net.middle)
    yield "tail", 1, found.runs[0], _Around(before, [], total, total)
    after, place = [Part("tail", "gradients")], total
    for (kind, count), slots in zip(reversed(net.runs), found.runs[1:], strict=False):
        before = before[:-1]
        yield kind, count, slots, _Around(before, after, place, total)
        after = [*after, *left_by(net, kind, count)]
        place -= 0 if kind == net.middle else count
    yield "front", 1, found.runs[-1], _Around([], after, 0, total)


def after_all(net: Sized, base: Standing, plan: Plan, at: Afterwards) -> Moment:
    """The largest moment when the backward pass is over."""
    return moment_at(net, base, ON_THEIR_WAY, [], None, at.most, plan)


def _shared(net: Sized, part: str | int) -> tuple[list[Part], int]:
    """What is left of earlier parts when the first weight's gradient comes, and from which slot on.

    A gradient of the embedding that waits in the autograd engine, for the output matrix is the same
    one, is a part of the sum then.
    """
    steps = segment_of(net, part).steps
    if part != "front" or steps is None or "embedding" not in steps.names:
        return [], _NEVER
    after: list[Part] = []
    for kind, count in reversed(net.runs):
        after += [each for each in left_by(net, kind, count) if kind != net.middle]
    return after, 2 * steps.arrival("embedding") + 1


def _largest(
    net: Sized, part: str | int, count: int, slots: tuple[Slot, ...], summed: int
) -> tuple[tuple[int, At], tuple[int, At]]:
    """(slot, block) of the largest moment between gradients, and of the largest as one comes.

    Args:
        net: The network.
        part: The part.
        count: How often it comes.
        slots: What ZeRO holds at each of its places.
        summed: From which slot on a gradient that waited is a part of another one.
    """
    steps = segment_of(net, part).steps
    assert steps is not None
    sizes = steps.evaluate(*net.symbols)
    slope = gone = 0
    if summed != _NEVER:
        gone = net.tail.gradients + (0 if net.middle is None else net.blocks[net.middle].gradients)
    if count > 1:
        own = sizes_of(net, part)
        slope = own.gradients + own.behind - own.saved
    most = [-1, -1]
    best: list[Any] = [(0, slots[0][0]), (0, slots[0][0])]
    for index, slot in enumerate(slots):
        odd = steps.comes(index)
        for each in slot:
            size = sizes[index] + each.bytes + slope * each.turn - (index >= summed) * gone
            if size > most[odd]:
                most[odd], best[odd] = size, (index, each)
    return best[0], best[1]


def moment_at(
    net: Sized,
    base: Standing,
    name: str,
    parts: list[Part],
    place: tuple[str | int, int] | None,
    at: At,
    plan: Plan,
    *,
    onwards: bool = False,
) -> Moment:
    """A moment as its lines.

    Args:
        net: The network.
        base: What stands.
        name: What happens.
        parts: What other parts hold.
        place: The part that is at work, and which group of its steps.
        at: What ZeRO holds.
        plan: How gradients pass.
        onwards: Whether that is in the forward pass.
    """
    total = base.bytes + at.bytes
    steps = None
    if place is not None:
        segment = segment_of(net, place[0])
        steps = segment.onwards if onwards else segment.steps
    front, blocks, tail = net.front, net.blocks, net.tail
    for part, group, times in parts:
        # As `sizes_of`, without a call, as in `moment`.
        sizes = blocks[part] if isinstance(part, int) else front
        total += times * getattr(tail if part == "tail" else sizes, group)
    if place is not None:
        assert steps is not None
        total += steps.evaluate(*net.symbols)[place[1]]

    def explain() -> list[Line]:
        lines = [*base.lines, *held_lines(at.held, plan), *_side_lines(at.sides)]
        for part in parts:
            lines += part_lines(net, part)
        if place is not None:
            assert steps is not None
            tallies = list(steps.groups.values())[place[1]]
            lines += tally_lines(net, tallies, segment.name, 1)
        return merged(lines)

    return Moment(name, total, explain)


def held_lines(held: Held, plan: Plan) -> list[Line]:
    """What ZeRO holds of gradients, and of weights that it has fetched."""
    several = f"{plan.buckets} × " if plan.buckets > 1 else ""
    rows = (
        ("buckets of gradients", f"{several}{plan.staged} × reduce_bucket_size", held.buckets),
        ("gradients in their own memory", f"{plan.staged} × their numbers", held.whole),
        ("gradients that begin in this device's pieces", f"{plan.width} P_own", held.owned),
        ("fp32 sums of this device's pieces", "4 P/N", held.exact),
    )
    kinds: dict[str, Category] = {"buckets of gradients": "communication"}
    found = [
        Line(name, formula, size, kinds.get(name, "gradients"), SOURCE)
        for name, formula, size in rows
    ]
    name = "weights, fetched, with the buffers that they came in"
    formula = f"{plan.width} × the weights of the modules at hand and of those to come"
    return [*found, Line(name, formula, held.fetched, "weights", FETCHING)]


def _side_lines(sides: Sides) -> list[Line]:
    return [Line(*SIDES[key], size, "temporaries", SOURCE) for key, size in sides]
