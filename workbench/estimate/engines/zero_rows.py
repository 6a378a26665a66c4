"""How what waits in ZeRO's bucket is put in rows that devices add up together.

What is for one device is one slice as long as it lies side by side; several slices are copied into
a row (`average_tensor` and what it calls, DeepSpeed 0.19.8, runtime/zero/stage_1_and_2.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from workbench.estimate.engines.zero_flow import Gradient, Plan


class Exchange(NamedTuple):
    """One exchange.

    Attributes:
        numbers: How many travel.
        slices: Of how many slices.
        added: Numbers of the largest slice that is added to fp32 sums.
    """

    numbers: int
    slices: int
    added: int


class _Slice(NamedTuple):
    """Numbers that lie side by side and are for one device.

    Attributes:
        device: Which.
        numbers: How many.
        is_added: Whether they are added to fp32 sums.
    """

    device: int
    numbers: int
    is_added: bool


def part_of(each: Gradient, plan: Plan) -> int:
    """Numbers of a gradient that are in this device's piece."""
    return max(0, min(each.numbers, plan.pieces[each.group] - each.begins))


def exchanges(waiting: list[Gradient], elements: int, plan: Plan) -> list[Exchange]:
    """The exchanges that empty a bucket.

    Args:
        waiting: The gradients in it.
        elements: Their numbers.
        plan: How they pass.
    """
    if not plan.contiguous or not plan.scatters:
        added = max((part_of(each, plan) * plan.sums for each in waiting), default=0)
        return [Exchange(elements, 1 if plan.contiguous else len(waiting), added)]
    slices = _slices(waiting, plan)
    if plan.together:
        return _cut(slices, plan.bucket)
    by_device: dict[int, list[_Slice]] = {}
    for each in slices:
        by_device.setdefault(each.device, []).append(each)
    return [row for found in by_device.values() for row in _cut(found, plan.bucket)]


def _cut(slices: list[_Slice], bucket: int) -> list[Exchange]:
    """Slices in rows: a row is complete once it is longer than a bucket."""
    found = []
    numbers = count = added = 0
    for each in slices:
        numbers, count = numbers + each.numbers, count + 1
        added = max(added, each.numbers * each.is_added)
        if numbers > bucket:
            found.append(Exchange(numbers, count, added))
            numbers = count = added = 0
    return [*found, Exchange(numbers, count, added)] if count else found


def _slices(waiting: list[Gradient], plan: Plan) -> list[_Slice]:
    """What waits, cut at the pieces' ends."""
    found: list[_Slice] = []
    for each in waiting:
        piece = plan.pieces[each.group]
        place, end = each.begins, each.begins + each.numbers
        while place < end:
            device = place // piece
            after = min(end, (device + 1) * piece)
            added = plan.sums and device == 0
            if found and found[-1].device == device and not added:
                found[-1] = _Slice(device, found[-1].numbers + after - place, is_added=False)
            else:
                found.append(_Slice(device, after - place, added))
            place = after
    return found
