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
    from workbench.estimate.engines.zero_flow import Gradient, Plan

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
        row, copies = self._row()
        self._see(("row", row), ("travel", copies))
        for each, size in zip(self._waiting, self._alone, strict=True):
            part = -(-each.numbers // plan.devices)
            if plan.offloads and plan.last:
                norm = up(8 * min(part, _NORM), alignment)
                self._see(("row", row), ("travel", copies), ("norm", norm))
                if plan.gradient == 2:
                    host = up(4 * part, alignment)
                    self._see(("row", row), ("travel", copies), ("host", host))
            self._change(whole=-size)
        self._waiting.clear()
        self._alone.clear()
        self._elements = 0

    def _row(self) -> tuple[int, int]:
        """Bytes of the gradients in a row, and of copies in the format in which they travel."""
        plan, alignment = self.plan, self.plan.alignment
        whole = plan.contiguous and self._elements <= plan.bucket
        if whole and not plan.scatters:
            # They are multiplied into another tensor where the devices are more than one.
            copies = (plan.travel != plan.width) + (plan.devices > 1)
            return 0, copies * up(plan.travel * self._elements, alignment)
        copies = 0
        if plan.travel != plan.width:
            copies = sum(up(plan.travel * each.numbers, alignment) for each in self._waiting)
        if len(self._waiting) == 1 and self._waiting[0].numbers % plan.devices == 0:
            return 0, copies
        parts = sum(-(-each.numbers // plan.devices) for each in self._waiting)
        return up(plan.travel * plan.devices * parts, alignment), copies
