"""The ledger of DDP: one device's, with gradients in buckets that are never given back.

The trainer asks for ``gradient_as_bucket_view``: gradients are views of the buckets, so there is no
second copy, and they exist from the first step on (torch/csrc/distributed/c10d/reducer.cpp).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.estimate.engines import single
from workbench.estimate.engines.base import Part

if TYPE_CHECKING:
    from workbench.estimate.engines.base import Standing
    from workbench.estimate.engines.states import Updates
    from workbench.estimate.ledger import Moment
    from workbench.estimate.network.network import Sized


def standing(net: Sized, updates: Updates) -> Standing:
    """Weights, optimizer, inputs, and the buckets."""
    return single.standing(net, updates, accumulating=True, gradients="buckets of DDP's reducer")


def moments(net: Sized, base: Standing, *, updates: Updates, accumulating: bool) -> list[Moment]:
    """The moments of a step, the buckets being there all the time.

    With several micro-batches the gradients of all but the last one lie beside the buckets, for
    nothing is sent before the last; each is copied over when the last one has been added to it.
    """
    if not accumulating:
        return single.moments(net, base, updates=updates)
    waiting = [Part("front", "trained"), *(Part(kind, "trained", n) for kind, n in net.runs)]
    return single.moments(net, base, updates=updates, waiting=(*waiting, Part("tail", "trained")))
