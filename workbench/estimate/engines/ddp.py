"""The ledger of DDP: one device's, with gradients in buckets that are never given back.

The trainer asks for ``gradient_as_bucket_view``: gradients are views of the buckets, so there is no
second copy, and they exist from the first step on (torch/csrc/distributed/c10d/reducer.cpp).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from workbench.estimate.engines import single
from workbench.estimate.engines.base import Standing, parts_with_weights, sizes_of
from workbench.estimate.ledger import Line

if TYPE_CHECKING:
    from workbench.estimate.engines.states import Updates
    from workbench.estimate.ledger import Moment
    from workbench.estimate.network.network import Sized

FIRST = "first micro-batch"
"""What moments of the first of several micro-batches say after their name."""


def standing(net: Sized, updates: Updates) -> Standing:
    """Weights, optimizer, inputs, and the buckets."""
    return single.standing(net, updates, accumulating=True, gradients="buckets of DDP's reducer")


def moments(net: Sized, base: Standing, *, updates: Updates, micro_batches: int) -> list[Moment]:
    """The moments of a step, the buckets being there all the time.

    With several micro-batches the gradients of all but the last one lie beside the buckets, for
    nothing is sent before the last; each is copied over when the last one has been added to it. So
    the most is needed by one between the first and the last, where there are three.

    Args:
        net: The network, with gradients that wait where there are two micro-batches.
        base: What stands.
        updates: How weights are updated.
        micro_batches: How many a step has.
    """
    if micro_batches == 1:
        return single.moments(net, base, updates=updates)
    if micro_batches == 2:
        return single.moments(net, base, updates=updates, waiting=True)
    earlier = [
        Line(
            f"gradients of {of} from earlier micro-batches",
            "4 P" if times == 1 else f"{times} × 4 P",
            times * sizes_of(net, part).trained,
            "gradients",
            "torch/csrc/distributed/c10d/reducer.cpp",
        )
        for of, part, times in parts_with_weights(net)
    ]
    before = Standing.of(*base.lines, *earlier)
    return single.moments(net, before, updates=updates, at_update=base)


def first(net: Sized, base: Standing, *, updates: Updates) -> list[Moment]:
    """The moments of the first of several micro-batches: its gradients come beside the buckets.

    They matter where the first blocks need far more than the last ones, as the encoder of a t5 that
    reads more than it writes, or a dense block before blocks of experts; where all blocks are alike
    the last micro-batch needs more.

    Args:
        net: The network, as it is where no gradients exist before the backward pass.
        base: What stands.
        updates: How weights are updated.
    """
    found = single.moments(net, base, updates=updates, updated=False)
    return [replace(each, name=f"{each.name}, {FIRST}") for each in found]
