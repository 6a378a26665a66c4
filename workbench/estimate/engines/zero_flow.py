"""How gradients pass through ZeRO stages 1 and 2, one after the other, in bytes.

Each gradient is copied into a bucket as it comes; what does not fit empties the bucket first. Then
the sums go out, what this device owns is kept or sent to the host, and the rest is dropped. This
file repeats the steps of `reduce_independent_p_g_buckets_and_remove_grads`, `reduce_ipg_grads` and
`copy_grads_in_partition` with the lifetimes of their tensors (DeepSpeed 0.19.8,
runtime/zero/stage_1_and_2.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from workbench.estimate.engines.zero_rows import exchanges, part_of
from workbench.estimate.rounding import up


class Gradient(NamedTuple):
    """A gradient that comes.

    Attributes:
        numbers: Its size.
        group: The group of weights that it belongs to.
        begins: Where it begins in the group.
        order: Its place among all weights, as the model registers them.
    """

    numbers: int
    group: int
    begins: int
    order: int = 0


class Held(NamedTuple):
    """Bytes that the optimizer holds of gradients.

    Attributes:
        buckets: The buckets themselves.
        whole: What is in gradients' own memory.
        owned: Copies of those that begin in this device's pieces.
        exact: fp32 sums of this device's pieces.
        fetched: Whole weights that stage 3 has fetched.
    """

    buckets: int = 0
    whole: int = 0
    owned: int = 0
    exact: int = 0
    fetched: int = 0

    @property
    def bytes(self) -> int:
        """Their sum."""
        return sum(self)


Sides = tuple[tuple[str, int], ...]
"""What exists for a moment: a key of `SIDES`, and its bytes."""

SIDES = {
    "row": ("a bucket's gradients in a row", "width × its numbers"),
    "turned": ("gradients in the format in which they are added up", "its width × their numbers"),
    "travel": ("the same in the format in which they travel", "width × its numbers"),
    "sum": ("fp32 copy of what is added to this device's sums", "4 n"),
    "norm": ("fp64 copy of a gradient, for its norm", "8 n"),
    "host": ("fp32 copy of a gradient on its way to the host", "4 n"),
    "copy": ("copy of a gradient that is larger than the bucket", "width × n"),
    "moved": ("gradient that has been added to another one", "-width × n"),
}
"""Names and formulas of what exists for a moment."""


class Event(NamedTuple):
    """The arrival of a gradient.

    Attributes:
        before: What is held until then.
        held: What is held at the largest moment of its arrival.
        sides: What exists besides at that moment.
    """

    before: Held
    held: Held
    sides: Sides


@dataclass(frozen=True, slots=True)
class Plan:
    """What decides how gradients pass.

    Attributes:
        stage: 1 or 2.
        width: Bytes of the compute dtype.
        gradient: Bytes of the dtype that gradients are added up in.
        travel: Bytes of the dtype that they travel in.
        bucket: Numbers of a bucket.
        buckets: How many there are.
        overlaps: Whether gradients are sent while others come.
        contiguous: Whether they are copied into buckets.
        scatters: Whether each device gets its part of the sums only.
        together: Whether what goes to several devices goes in one exchange.
        offloads: Whether the optimizer is on the host.
        stands: Whether every gradient has memory before the first one comes.
        prepared: Whether the buckets have.
        last: Whether this is the last micro-batch of a step.
        pieces: Numbers of this device's pieces of both groups.
        own: Numbers of the gradients that begin in them, whole.
        alignment: What an allocator gives is a multiple of it.
        devices: Devices that share each weight; stage 3 cuts each by itself.
        dealt: To how many devices weights are dealt out in turns; 1: they are not.
        adds: Whether each is added to one in another format as it comes, which then goes on.
        converts: Whether they travel in another format than they wait in.
        scaled: Whether what has been added up is divided afterwards, into another tensor.
        summed: Whether there are fp32 sums of earlier micro-batches, which are counted apart.
    """

    stage: int
    width: int
    gradient: int
    travel: int
    bucket: int
    buckets: int
    overlaps: bool
    contiguous: bool
    scatters: bool
    together: bool
    offloads: bool
    stands: bool
    prepared: bool
    last: bool
    pieces: tuple[int, int]
    own: int
    alignment: int
    devices: int = 1
    dealt: int = 1
    adds: bool = False
    converts: bool = False
    scaled: bool = True
    summed: bool = False

    @property
    def sums(self) -> bool:
        """Whether this device's pieces are added up in fp32 beside 16-bit gradients."""
        return self.gradient == 4 and self.width == 2

    @property
    def staged(self) -> int:
        """Bytes of a number of a gradient as it waits and is copied into a bucket."""
        return self.gradient if self.stage == 1 else self.width


class Flow:
    """Gradients come; ask `come` for each, and `end` at last.

    Args:
        plan: How they pass.
        standing: Bytes of those that have memory before.
    """

    def __init__(self, plan: Plan, standing: int = 0) -> None:
        self.plan = plan
        buckets = plan.buckets * up(plan.staged * plan.bucket, plan.alignment)
        self._buckets = buckets if plan.contiguous else 0
        self.held = Held(self._buckets if plan.prepared else 0, standing)
        self._waiting: list[Gradient] = []
        self._elements = 0
        self._later = 0
        self._summed = [plan.summed, plan.summed]
        self._bucket = 0
        self._viewed: set[int] = set()
        self._gone = 0
        self._most: tuple[Held, Sides] = (self.held, ())

    def come(self, gradient: Gradient) -> Event:
        """A gradient has come."""
        plan, before = self.plan, self.held
        size = self._size(gradient.numbers)
        if before.buckets != self._buckets:
            self.held = before._replace(buckets=self._buckets)
        self._most = (self.held, ())
        has_memory = plan.stands
        if plan.adds:
            self._add(size)
            self._gone = up(plan.width * gradient.numbers, plan.alignment)
            has_memory = True
        if self._elements + gradient.numbers > plan.bucket:
            self._flush()
            self._bucket = (self._bucket + 1) % plan.buckets
        if self._is_alone(gradient):
            if plan.contiguous and plan.offloads:
                self._see(("copy", size))
            if not has_memory:
                self._change(whole=size)
        elif has_memory:
            self._change(whole=-size)
        self._waiting.append(gradient)
        self._elements += gradient.numbers
        self._gone = 0
        return Event(before, *self._most)

    def end(self) -> Event:
        """All have come."""
        before = self.held
        self._most = (self.held, ())
        self._flush()
        return Event(before, *self._most)

    @property
    def left(self) -> Held:
        """What is left in stage 1 where each gradient is a part of one in another format.

        What other devices own lies in the buckets, and keeps them until the update is over.
        """
        buckets = self.held.buckets // self.plan.buckets * len(self._viewed)
        return self.held._replace(buckets=buckets, owned=0, exact=0)

    def _add(self, size: int) -> None:
        """Add a gradient to the one in another format (`_fill_param_grad_accum_attribute`)."""
        if self.plan.stands:
            self._see(("copy", size))
        else:
            self._change(whole=size)
            self._see()

    def _is_alone(self, gradient: Gradient) -> bool:
        """Whether it stays out of the bucket."""
        return not self.plan.contiguous or gradient.numbers > self.plan.bucket

    def _size(self, numbers: int) -> int:
        return up(self.plan.staged * numbers, self.plan.alignment)

    def _change(self, *, whole: int = 0, owned: int = 0, exact: int = 0) -> None:
        buckets, its, own, sums, fetched = self.held
        self.held = Held(buckets, its + whole, own + owned, sums + exact, fetched)

    def _see(self, *sides: tuple[str, int]) -> None:
        """What exists now, with what is there for a moment."""
        held, before = self._most
        most = sum(held) + sum([size for _, size in before])
        sides = (*sides, ("moved", -self._gone))
        if sum(self.held) + sum([size for _, size in sides]) > most:
            self._most = (self.held, tuple(each for each in sides if each[1]))

    def _flush(self) -> None:
        """Empty the bucket."""
        plan = self.plan
        defers = plan.overlaps and not plan.contiguous
        if defers:
            self._change(whole=-self._later)
            self._later = 0
        self._send()
        for each in self._waiting:
            size = self._size(each.numbers) if self._is_alone(each) else 0
            if part_of(each, plan):
                if plan.contiguous:
                    self._keep(each, size)
            elif plan.stage == 2:
                if defers:
                    self._later += size
                else:
                    self._change(whole=-size)
            elif not size:
                self._viewed.add(self._bucket)
        self._waiting.clear()
        self._elements = 0

    def _keep(self, each: Gradient, size: int) -> None:
        """What this device owns goes to a place of its own, or to the host."""
        plan, part = self.plan, part_of(each, self.plan)
        if plan.offloads:
            if not plan.last:
                return
            self._see(("norm", up(8 * part, plan.alignment)))
            if plan.staged == 2 and not plan.sums:
                self._see(("host", up(4 * part, plan.alignment)))
            self._change(whole=-size)
        elif plan.sums:
            if plan.stage == 1:
                self._change(whole=-size)
        else:
            if not self.held.owned:
                self._change(owned=up(plan.width * plan.own, plan.alignment))
            self._see()
            self._change(whole=-size)

    def _send(self) -> None:
        """Add up what waits over the devices."""
        plan, alignment = self.plan, self.plan.alignment
        if plan.contiguous:
            self._make_sums()
        for numbers, count, sums in exchanges(self._waiting, self._elements, plan):
            row = up(plan.staged * numbers, alignment) if count > 1 else 0
            travel = up(plan.travel * numbers, alignment) if plan.converts else 0
            self._see(("row", row), ("travel", travel))
            if not plan.contiguous:
                self._make_sums()
            widened = up(4 * sums, alignment) if plan.travel == 2 else 0
            # What has travelled stays until it is added up; the row that it was made of does not.
            self._see(("travel", travel) if travel else ("row", row), ("sum", widened))

    def _make_sums(self) -> None:
        """The fp32 sums of this device's pieces, as soon as one is needed."""
        if not self.plan.sums:
            return
        for each in self._waiting:
            if part_of(each, self.plan) and not self._summed[each.group]:
                self._summed[each.group] = True
                piece = self.plan.pieces[each.group]
                self._change(exact=up(4 * piece, self.plan.alignment))


class Staying(Flow):
    """Gradients come and stay, or are added to those that stand."""

    def come(self, gradient: Gradient) -> Event:
        """A gradient has come."""
        before = self.held
        self.held = before._replace(buckets=self._buckets)
        self._most = (self.held, ())
        if self.plan.adds:
            self._add(self._size(gradient.numbers))
        return Event(before, *self._most)

    def end(self) -> Event:
        """All have come."""
        return Event(self.held, self.held, ())
