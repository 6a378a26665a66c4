"""How many parameters Ava's own code builds.

Each expert has two networks beside its feed-forward: one that makes a mask over the inner features,
one that gates its computation. Attention and feed-forward have biases, norms are
LayerNorms, and the output matrix is never tied.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_DEFAULTS = {
    "vocab_size": 50257,
    "hidden_size": 768,
    "num_layers": 12,
    "intermediate_size": 3072,
    "num_experts": 8,
    "num_experts_per_token": 2,
}


@dataclass(frozen=True, slots=True)
class Built:
    """Parameters of the model that the code builds.

    Attributes:
        total: All of them.
        plain: Those without the experts' masks and gates.
        active: Those that one token meets.
    """

    total: int
    plain: int
    active: int


def built(model: dict[str, Any]) -> Built | None:
    """What the code builds of a ``model`` section; None where a dimension is no count."""
    values = [model.get(name, default) for name, default in _DEFAULTS.items()]
    if not all(isinstance(v, int) and not isinstance(v, bool) and v > 0 for v in values):
        return None
    vocabulary, width, layers, inner, experts, chosen = (int(value) for value in values)
    attention = 4 * (width * width + width)
    norms = 4 * width
    router = width * experts + experts
    feed_forward = 2 * width * inner + inner + width
    quarter, eighth = inner // 4, inner // 8
    mask = (width + 1) * quarter + (quarter + 1) * inner
    gate = (width + 1) * eighth + eighth + 1
    frame = layers * (attention + norms + router) + 2 * width + 2 * vocabulary * width
    expert = feed_forward + mask + gate
    return Built(
        total=frame + layers * experts * expert,
        plain=frame + layers * experts * feed_forward,
        active=frame + layers * min(chosen, experts) * expert,
    )
