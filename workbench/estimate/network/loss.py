"""`ava_kernels.linear_cross_entropy` on paper: the logits of a chunk of tokens at a time.

Shapes: N tokens, D width, V vocabulary, C tokens of a chunk, Z of the last one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.estimate.tape import ops
from workbench.estimate.tape.autograd import Node

if TYPE_CHECKING:
    from workbench.estimate.network.structure import Structure
    from workbench.estimate.tape.ops import Gradients
    from workbench.estimate.tape.tensor import Dim, Tape, Tensor

CHUNK_ELEMENTS = 2**24
"""Logits of one chunk, as in the kernel."""


def chunk_tokens(vocabulary: int) -> int:
    """Tokens whose logits exist at once."""
    return max(1, CHUNK_ELEMENTS // vocabulary)


def cross_entropy(tape: Tape, x: Tensor, weight: Tensor, s: Structure) -> Tensor:
    """The summed loss; both gradients are made in the forward pass."""
    node = Node(tape, (x, weight), _back, x.shape)
    width = x.width
    cast = ops.cast(tape, weight.detach(), width, "cast of the output matrix")
    grad_x = tape.new(("B", "T", "D"), width, "gradient of the hidden states")
    grad_weight = tape.new(("V", "D"), 4, "gradient of the output matrix")
    for index in range(s.chunks):
        rows: Dim = "Z" if index == s.chunks - 1 else "C"
        product = tape.new((rows, "V"), width, "logits")
        logits = ops.cast(tape, product, 4, "fp32 logits")
        del product
        log_p = tape.new((rows, "V"), 4, "log-probabilities of the chunk, then their gradient")
        keep = tape.new((rows,), 1, "which targets count")
        places = tape.new((rows,), 8, "rows")
        targets = tape.new((rows,), 8, "targets")
        found = tape.new((rows,), 4, "probabilities of the targets")
        del places, targets, found
        grad = ops.cast(tape, log_p, width, "gradient of the logits")
        product = tape.new((rows, "D"), width, "gradient of a chunk of hidden states")
        del product
        product = tape.new(("V", "D"), width, "gradient of the output matrix from a chunk")
        if s.cpu and width != 4:
            copy = tape.new(("V", "D"), 4, "fp32 copy of it")
            del copy
        del product
    del logits, log_p, keep, grad
    node.save(grad_x, grad_weight)
    return tape.new((), 4, "loss", node)


def _back(node: Node, grad: Tensor) -> Gradients:
    tape = node.tape
    grad_x, grad_weight = node.kept()
    x32 = ops.cast(tape, grad_x, 4, "fp32 gradient of the hidden states")
    scaled = tape.new(grad_x.shape, 4, "scaled gradient of the hidden states")
    del x32
    result = ops.cast(tape, scaled, grad_x.width, "scaled gradient of the hidden states")
    del scaled
    return result, tape.new(grad_weight.shape, 4, "scaled gradient of the output matrix")
