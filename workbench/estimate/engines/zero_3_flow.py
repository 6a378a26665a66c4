"""How gradients pass through ZeRO stage 3: through one bucket that is always there.

The steps of `reduce_independent_p_g_buckets_and_remove_grads`, `__reduce_and_partition_ipg_grads`
and `partition_grads` with the lifetimes of their tensors (DeepSpeed 0.19.8,
runtime/zero/stage3.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.estimate.engines.zero_flow import Event, Flow, Held
from workbench.estimate.rounding import up

if TYPE_CHECKING:
    from workbench.estimate.engines.zero_flow import Gradient, Plan, Sides

_NORM = 250_000_000
"""Numbers of a gradient whose norm is taken at once (`_constant_buffered_norm2`)."""


class Flow3(Flow):
    """Gradients come; ask `come` for each, and `end` at last."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.held = Held()
        self._alone: list[int] = []

    def fetch(self, size: int) -> None:
        """From now on so many bytes of weights are there."""
        if size != self.held.fetched:
            self.held = self.held._replace(fetched=size)

    def come(self, gradient: Gradient) -> Event:
        """A gradient has come."""
        plan, before = self.plan, self.held
        self._most = (before, ())
        if self._elements and self._elements + gradient.numbers > plan.bucket:
            self._flush()
        fits = plan.contiguous and self._elements + gradient.numbers <= plan.bucket
        size = 0 if fits else up(plan.width * gradient.numbers, plan.alignment)
        self._change(whole=size)
        self._alone.append(size)
        self._waiting.append(gradient)
        self._elements += gradient.numbers
        return Event(before, *self._most)

    def _flush(self) -> None:
        """Empty the bucket."""
        plan, alignment = self.plan, self.plan.alignment
        pairs = list(zip(self._waiting, self._alone, strict=True))
        rows = plan.scatters or not plan.contiguous or self._elements > plan.bucket
        if rows:
            pairs.sort(key=lambda pair: pair[0].order)
        beside = self._reduced() if rows else self._added()
        for each, size in pairs:
            part = -(-each.numbers // plan.devices)
            if plan.offloads and plan.last:
                self._see(*beside, ("norm", up(8 * min(part, _NORM), alignment)))
                if plan.gradient == 2:
                    self._see(*beside, ("host", up(4 * part, alignment)))
            self._change(whole=-size)
        self._waiting.clear()
        self._alone.clear()
        self._elements = 0

    def _reduced(self) -> Sides:
        """Reduce what waits in a row (`__avg_scatter_grads`); what is there until it is taken."""
        plan, alignment = self.plan, self.plan.alignment
        parts = [-(-each.numbers // plan.devices) for each in self._waiting]
        copies = row = 0
        if plan.travel != plan.width:
            # What is in the bucket is in this format.
            copies = sum(
                up(plan.travel * each.numbers, alignment)
                for each, alone in zip(self._waiting, self._alone, strict=True)
                if alone
            )
        if len(parts) > 1 or self._waiting[0].numbers % plan.devices:
            row = up(plan.travel * plan.devices * sum(parts), alignment)
        if plan.travel == plan.gradient:
            self._see(("travel", copies), ("row", row))
            return (("row", row) if row else ("travel", copies),)
        added = ("turned", sum(up(plan.gradient * part, alignment) for part in parts))
        self._see(("travel", copies), ("row", row), added)
        return (added,)

    def _added(self) -> Sides:
        """Add up the bucket itself (`__avg_scatter_contiguous_grads`); what is there then."""
        plan, alignment = self.plan, self.plan.alignment
        size = up(plan.travel * self._elements, alignment)
        left = ("row", 0)
        if plan.devices > 1 and plan.scaled:
            self._see(left, ("row", size))
            left = ("row", size)
        self._see(left)
        if plan.travel == plan.gradient:
            return (left,)
        added = ("turned", up(plan.gradient * self._elements, alignment))
        self._see(left, added)
        return (added,)
