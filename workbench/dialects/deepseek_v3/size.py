"""How many parameters the system's own code builds: the names of its files say something else.

Counted from its modules: attention with a full query matrix, a compression to the latent vector and
an expansion for keys and for values, all with biases; every `dense_layer_interval`-th layer a GELU
feed-forward of four times the width; elsewhere SwiGLU experts, shared experts behind a gate and an
output matrix; and a head for further tokens that has an embedding and an output matrix of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SPEECH_VOCABULARY = 51_540
"""Up to this vocabulary the code builds tables for text, sound and phonemes, 51,540 rows in all."""
_PARTS = 116_000  # rows for text, audio and phonemes of a larger vocabulary; the rest is reserved


@dataclass(frozen=True, slots=True)
class Built:
    """Parameters of the model that the code builds.

    Attributes:
        total: All of them.
        heads: Those of the head for further tokens.
        active: Those that one token meets, without that head.
        own_count: What the code's own ``active_params_per_token`` says.
    """

    total: int
    heads: int
    active: int
    own_count: int


class _MissingError(Exception):
    """A dimension that the file does not say."""


def built(tree: dict[str, Any]) -> Built | None:
    """What the code builds of a file of the main kind; None where a dimension is missing."""
    try:
        return _built(tree)
    except _MissingError:
        return None


def impossible_vocabulary(size: Any) -> bool:
    """Whether the code would ask for a table with less than no rows."""
    return isinstance(size, int) and SPEECH_VOCABULARY < size < _PARTS


def _built(tree: dict[str, Any]) -> Built:
    model, training = _section(tree, "model"), _section(tree, "training")
    mla, moe = _section(model, "mla"), _section(model, "moe")
    width, latent = _count(mla, "d_model"), _count(mla, "d_latent")
    layers, vocabulary = _count(model, "num_layers"), _count(model, "vocab_size")
    experts, inner = _count(moe, "num_experts"), _count(moe, "expert_intermediate_size")
    chosen = _count(moe, "num_experts_per_token")
    interval = _count(model, "dense_layer_interval", 3)
    segments = _count(moe, "num_expert_segments", 1)
    shared_experts = _count(moe, "num_shared_experts", 0)
    shared_inner = _count(moe, "shared_intermediate_size", 0)
    further = _count(training, "num_predict_tokens", 2)
    if min(interval, width, layers) < 1:
        raise _MissingError

    square = width * width
    attention = 2 * (square + width) + latent * (width + 1) + 2 * (latent + 1) * width
    dense = 8 * square + 5 * width
    shared = 0
    if shared_experts:
        shared = shared_experts * (3 * width * shared_inner + width + 1) + square
    independent = moe.get("segment_routing", "independent") == "independent"
    router = width * experts * (segments if independent else 1)
    expert = 3 * width * inner
    dense_layers = -(-layers // interval)
    expert_layers = layers - dense_layers
    rows = max(vocabulary, SPEECH_VOCABULARY)
    frame = layers * (attention + 2 * width) + dense_layers * dense + (rows + vocabulary) * width
    block = square + 4 * (square + width) + dense + 4 * width
    heads = 2 * vocabulary * width + further * block
    by_themselves = 2 * width * latent + square + 2 * width * inner * chosen
    by_themselves += 2 * width * shared_inner if shared_experts else 0
    return Built(
        total=frame + expert_layers * (router + experts * expert + shared) + heads,
        heads=heads,
        active=frame + expert_layers * (router + min(chosen, experts) * expert + shared),
        own_count=layers * by_themselves + width * vocabulary,
    )


def _section(tree: dict[str, Any], name: str) -> dict[str, Any]:
    inner = tree.get(name)
    return inner if isinstance(inner, dict) else {}


def _count(section: dict[str, Any], name: str, default: int | None = None) -> int:
    value = section.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _MissingError
    return value
