"""What a t5 adds to its scores, on paper: a learned number per head and bucket of distances.

Shapes: B sequences, S positions of the encoder, T positions of the decoder, H heads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.estimate.tape import ops
from workbench.estimate.tape.autograd import Node
from workbench.estimate.tape.tensor import Parameter, Tensor

if TYPE_CHECKING:
    from workbench.estimate.network.structure import Structure
    from workbench.estimate.tape.ops import Gradients
    from workbench.estimate.tape.tensor import Dim, Tape

BUCKETS = 32
"""Distances that are told apart."""


def distances(tape: Tape, s: Structure, name: str, length: Dim) -> Tensor:
    """`workbench.models.t5.T5._sight`: (1 or B, H, positions, positions)."""
    table = Parameter(tape, name, (BUCKETS, "H"))
    visible = _visible(tape, s, length)
    place = tape.new((length,), 8, "positions")
    buckets = _buckets(tape, length, both_ways=length == "S")
    found = ops.embedding(tape, table, (length, length, "H"), keep=buckets)
    mask = ops.view(tape, found, (1, "H", length, length))
    del found
    if visible is not None:
        mask = _hidden(tape, mask, visible)
    del place, buckets, visible
    return mask


def across(tape: Tape, s: Structure) -> Tensor | None:
    """Who of the decoder sees whom of the encoder; None: all see all."""
    if not s.options.documents:
        return None
    same = tape.new(("B", "T", "S"), 1, "who is in the same document")
    padding = tape.new(("B", "T"), 1, "padding")
    seen = tape.new(("B", 1, "T", "S"), 1, "who sees what was read")
    del same, padding
    return seen


def _visible(tape: Tape, s: Structure, length: Dim) -> Tensor | None:
    documents = s.options.documents
    if length == "S":
        return tape.new(("B", "S", "S"), 1, "who is in the same document") if documents else None
    ones = tape.new((length, length), 1, "ones")
    visible = tape.new((1, length, length), 1, "who comes before")
    del ones
    if documents:
        same = tape.new(("B", length, length), 1, "who is in the same document")
        visible = tape.new(("B", length, length), 1, "who is seen")
        del same
    return visible


def _buckets(tape: Tape, length: Dim, *, both_ways: bool) -> Tensor:
    """`workbench.models.t5.bucket`, in whole numbers of 8 bytes and floats of 4."""
    square = (length, length)
    distance = tape.new(square, 8, "distances")
    if both_ways:
        later = tape.new(square, 1, "who comes later")
        offset = tape.new(square, 8, "offsets of buckets")
        del later
        far = tape.new(square, 8, "distances either way")
    else:
        offset = tape.new(square, 8, "offsets of buckets")
        turned = tape.new(square, 8, "distances back")
        far = tape.new(square, 8, "distances back")
        del turned
    step = tape.new(square, 8, "distances from 1 on")
    next_ = tape.new(square, 4, "fp32 distances")
    del step
    step = next_
    for label in ("relative distances", "logarithms", "relative logarithms"):
        step = tape.new(square, 4, label)
    del next_
    growth = step
    product = tape.new(square, 4, "buckets of far distances")
    whole = tape.new(square, 8, "buckets of far distances")
    del product
    coarse = tape.new(square, 8, "buckets of far distances")
    del whole
    near = tape.new(square, 1, "who is near")
    held = tape.new(square, 8, "buckets within bounds")
    chosen = tape.new(square, 8, "buckets of distances")
    del near, held
    found = tape.new(square, 8, "buckets")
    del distance, offset, far, growth, coarse, chosen, step
    return found


def _hidden(tape: Tape, mask: Tensor, visible: Tensor) -> Tensor:
    """``masked_fill``, which gives each sequence a matrix of its own where documents differ."""
    outside = tape.new(visible.shape, 1, "what is not seen")
    sequences = visible.shape[0]
    shape = (sequences, *mask.shape[1:])
    node = Node(tape, (mask,), _hidden_back, (shape, mask.shape)) if mask.needs_grad else None
    found = tape.new(shape, mask.width, "distances of what is seen", node)
    if node is not None:
        node.save(outside)
    return found


def _hidden_back(node: Node, grad: Tensor) -> Gradients:
    shape, before = node.memo
    node.kept()
    found = node.tape.new(shape, grad.width, "gradient of the distances")
    if shape != before:
        if node.tape.offload is not None:  # what came back from the host is gone with the call
            node.saved.clear()
        found = node.tape.new(before, grad.width, "gradient of the distances")
    del grad
    return (found,)
