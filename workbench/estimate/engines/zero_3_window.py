"""Which weights are whole under ZeRO stage 3, from one module to the next.

The bookkeeping of DeepSpeed's `PartitionedParameterCoordinator` once it knows the order of the
modules (DeepSpeed 0.19.8, runtime/zero/partitioned_param_coordinator.py), with the lifetimes of the
tensors that it fetches into (partition_parameters.py, `all_gather_coalesced`):

* A module's weights are fetched as it begins; then, in the order of their use, those to come, up to
  ``stage3_prefetch_bucket_size`` at each module and ``stage3_max_live_parameters`` in all.
* Several weights travel as one buffer, and are copied out of it as the first of them is needed; the
  buffer lives until the last of them is.
* As a module ends, those of its weights go that are not needed again within
  ``stage3_max_reuse_distance`` numbers.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from typing import TYPE_CHECKING

from workbench.estimate.rounding import up

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.estimate.engines.zero_3_steps import Decided, Hold, Rules, Step

_NEVER = -(10**10)


class _Group:
    """Weights that travel together."""

    __slots__ = ("buffer", "members", "waiting")

    def __init__(self, members: list[int], buffer: int) -> None:
        self.members, self.buffer, self.waiting = members, buffer, len(members)


class _Lost:
    """Memory that a weight has had.

    Attributes:
        holders: How many others hold it.
        size: Its bytes.
        group: What it is a part of, if it is.
    """

    __slots__ = ("group", "holders", "size")

    def __init__(self, holders: int, size: int, group: _Group | None) -> None:
        self.holders, self.size, self.group = holders, size, group


class Window:
    """Follows the modules of a step.

    Args:
        rules: How weights travel.
        numbers: Size of each weight, in numbers.
        stays: Whether each stays whole.
        learns: Whether each learns.
        steps: What happens, in order.
        decided: What is released at each step, from the first time that all of them were known;
            None: this is that time.
        there: Weights that are whole when it begins; None: those that stay so.

    Attributes:
        decided: The same.
        bytes: Bytes of whole weights, and of the buffers that they were fetched into.
        most: The most that existed since the last step began.
    """

    def __init__(
        self,
        rules: Rules,
        numbers: Sequence[int],
        stays: Sequence[bool],
        learns: Sequence[bool],
        steps: Sequence[Step],
        *,
        decided: Decided | None = None,
        there: Sequence[bool] | None = None,
    ) -> None:
        self.decided: Decided = {} if decided is None else decided
        self._decides = decided is None
        self.rules, self.numbers, self.stays, self.learns = rules, numbers, stays, learns
        self.bytes = self.most = 0
        count = len(numbers)
        self._whole = list(stays if there is None else there)
        self._sizes = [0] * count
        self._group: list[_Group | None] = [None] * count
        self._users: list[set[int]] = [set() for _ in numbers]
        # Of each weight, how many hold its memory now; and the same of memory that it has lost.
        self._holders = [0] * count
        self._lost: dict[int, list[_Lost]] = {}
        self._fetched_for = [_NEVER] * count
        self._live = self._place = 0
        self._backward: dict[int, set[int]] = {}
        begins = [each for each in steps if each.begins]
        self._queue = deque((w, place) for place, each in enumerate(begins) for w in each.weights)
        self._uses: list[list[int]] = [[] for _ in numbers]
        self._before = [0]
        for place, each in enumerate(begins):
            for weight in each.weights:
                self._uses[weight].append(place)
            self._before.append(self._before[-1] + sum(numbers[w] for w in each.weights))

    def see(self, step: Step) -> None:
        """A module begins or ends."""
        self.most = self.bytes
        if step.begins:
            self._fetch(step)
        else:
            self._release(step)

    def hold(self, hold: Hold) -> None:
        """Something begins or ends to hold the memory that a weight has."""
        weight = hold.weight
        if hold.begins:
            self._holders[weight] += 1
            return
        lost = self._lost.get(weight)
        if not lost:
            self._holders[weight] -= 1
            return
        # The oldest holders go last: what was computed again is used from its end.
        lost[-1].holders -= 1
        if not lost[-1].holders:
            self._give_back(lost.pop())

    def _fetch(self, step: Step) -> None:
        if step.backward:
            self._backward.setdefault(step.module, set())
        self._gather([w for w in step.weights if not self._whole[w] and self._group[w] is None])
        for weight in step.weights:
            self._users[weight].add(step.module)
            if step.inside and self._backward and not self.learns[weight]:
                owner = next(reversed(self._backward))
                self._backward[owner].add(weight)
                self._users[weight].add(owner)
            self._arrive(weight)
        self._prefetch(step)
        self._place += 1

    def _prefetch(self, step: Step) -> None:
        place, queue, fetched_for = self._place, self._queue, self._fetched_for
        new = sum(fetched_for[w] < place for w in step.weights)
        known = set[int]()
        while queue and len(known) < new:
            weight, use = queue.popleft()
            fetched_for[weight] = use
            known.add(weight)
        room = min(self.rules.live - self._live, self.rules.ahead)
        found: list[int] = []
        total = 0
        while queue and total < room:
            weight, use = queue.popleft()
            fetched_for[weight] = max(fetched_for[weight], use)
            if not self._whole[weight] and self._group[weight] is None and weight not in found:
                found.append(weight)
                total += self.numbers[weight]
        self._gather(found)

    def _gather(self, weights: list[int]) -> None:
        """Weights set out."""
        if not weights:
            return
        rules, numbers = self.rules, self.numbers
        self._live += sum(numbers[w] for w in weights)
        if rules.devices == 1:
            for weight in weights:
                self._group[weight] = _Group([weight], 0)
                if rules.comes_over:
                    self._grow(weight, numbers[weight])
            return
        pieces = [-(-numbers[w] // rules.devices) for w in weights]
        own = sum(self._up(each) for each in pieces) if rules.comes_over else 0
        if len(weights) == 1:
            self._group[weights[0]] = _Group(weights, 0)
            self._grow(weights[0], rules.devices * pieces[0])
            self.most = max(self.most, self.bytes + own)
            return
        group = _Group(weights, self._up(rules.devices * sum(pieces)))
        self.bytes += group.buffer
        self.most = max(self.most, self.bytes + own * (not rules.summed))
        if rules.summed:
            group.waiting = 0  # the weights are parts of it
        for weight in weights:
            self._group[weight] = group

    def _arrive(self, weight: int) -> None:
        """A weight is needed: all that travel with it are copied out of their buffer."""
        group = self._group[weight]
        if group is None:
            return
        if not self._whole[weight]:
            for each in group.members:
                self._whole[each] = True
                if group.buffer and not self.rules.summed:
                    self._grow(each, self.numbers[each])
        if self.rules.summed and group.buffer:
            return
        self._group[weight] = None
        group.waiting -= 1
        if not group.waiting:
            self.bytes -= group.buffer

    def _grow(self, weight: int, numbers: int) -> None:
        self._sizes[weight] = self._up(numbers)
        self.bytes += self._sizes[weight]
        self.most = max(self.most, self.bytes)

    def _up(self, numbers: int) -> int:
        return up(self.rules.width * numbers, self.rules.alignment)

    def _release(self, step: Step) -> None:
        weights = list(step.weights)
        gone = self._gone(step)
        if step.backward:
            computed = self._backward.pop(step.module, set())
            weights += computed
            gone = gone | {w for w in computed if not self.stays[w]}
        for weight in weights:
            self._users[weight].discard(step.module)
            if weight in gone and not self._users[weight]:
                self._drop(weight)

    def _gone(self, step: Step) -> frozenset[int]:
        """What may go, as DeepSpeed has decided once and for all."""
        key = (step.module, self._place)
        if self._decides:
            self.decided[key] = frozenset(
                w for w in step.weights if not self.stays[w] and not self._is_near(w)
            )
        return self.decided[key]

    def _is_near(self, weight: int) -> bool:
        """Whether a weight is needed again soon, or will not be fetched again."""
        place = self._place
        if self._fetched_for[weight] > place:
            return True
        uses = self._uses[weight]
        index = bisect_left(uses, place)
        if index == len(uses):
            return False
        return self._before[uses[index]] - self._before[place] < self.rules.reuse

    def _drop(self, weight: int) -> None:
        if not self._whole[weight]:
            return
        self._whole[weight] = False
        self._live -= self.numbers[weight]
        memory = _Lost(self._holders[weight], self._sizes[weight], self._group[weight])
        self._holders[weight] = self._sizes[weight] = 0
        self._group[weight] = None
        if memory.holders:
            self._lost.setdefault(weight, []).append(memory)
        else:
            self._give_back(memory)

    def _give_back(self, memory: _Lost) -> None:
        self.bytes -= memory.size
        group = memory.group
        if group is not None:  # it is a part of the buffer
            group.waiting += 1
            if group.waiting == len(group.members):
                self.bytes -= group.buffer
