"""`ava_kernels.linear_cross_entropy` on paper: the logits of a chunk of tokens at a time.

Shapes: N tokens, D width, V vocabulary or classes, C tokens of a chunk, Z of the last one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.estimate.network.token_loss import token_loss
from workbench.estimate.tape import ops
from workbench.estimate.tape.autograd import Node
from workbench.estimate.tape.tensor import Parameter

if TYPE_CHECKING:
    from workbench.estimate.network.structure import Structure
    from workbench.estimate.tape.ops import Gradients
    from workbench.estimate.tape.tensor import Dim, Tape, Tensor

CHUNK_ELEMENTS = 2**24
"""Logits of one chunk, as in the kernel."""


def chunk_tokens(vocabulary: int) -> int:
    """Tokens whose logits exist at once."""
    return max(1, CHUNK_ELEMENTS // vocabulary)


def cross_entropy(
    tape: Tape,
    x: Tensor,
    weight: Tensor,
    s: Structure,
    bias_name: str = "lm_head_bias",
    *,
    chunks: int | None = None,
    last: Dim = "Z",
) -> Tensor:
    """The summed loss; both gradients are made in the forward pass.

    Args:
        tape: The tape.
        x: Hidden states.
        weight: The output matrix.
        s: The structure.
        bias_name: What a bias of the logits is called.
        chunks: 1, 2 or 3: how it goes through its tokens; None: as through all tokens.
        last: Tokens of the last chunk.
    """
    outputs = weight.shape[0]
    bias = Parameter(tape, bias_name, (outputs,)) if s.head_bias else None
    inputs = (x, weight) if bias is None else (x, weight, bias)
    node = Node(tape, inputs, _back, x.shape)
    width = x.width
    cast = ops.cast(tape, weight.detach(), width, "output matrix in the compute dtype")
    grad_x = tape.new(x.shape, width, "gradient of the hidden states")
    grad_weight = tape.new(weight.shape, weight.width, "gradient of the output matrix")
    grad_bias = None
    if bias is not None:
        grad_bias = tape.new((outputs,), bias.width, "gradient of the output bias")
    special = s.options.special
    chunks = chunks or s.chunks
    for index in range(chunks):
        rows: Dim = last if index == chunks - 1 else "C"
        product = tape.new((rows, outputs), width, "logits of a chunk")
        logits = ops.cast(tape, product, 4, "fp32 logits of a chunk")
        del product
        if special is None:
            slope = _log_probabilities(tape, rows, outputs, smoothing=s.options.smoothing)
        else:
            slope = token_loss(tape, logits, special)
        if bias is not None:
            added = tape.new((outputs,), 4, "gradient of the output bias from a chunk")
            del added
        grad = ops.cast(tape, slope, width, "gradient of the logits of a chunk")
        product = tape.new((rows, "D"), width, "gradient of the hidden states of a chunk")
        del product
        product = tape.new(weight.shape, width, "gradient of the output matrix from a chunk")
        if s.cpu and width != weight.width:
            copy = tape.new(weight.shape, 4, "the same in fp32, as a CPU adds")
            del copy
        del product
    del logits, slope, grad, cast
    node.save(grad_x, grad_weight)
    if grad_bias is not None:
        node.save(grad_bias)
    return tape.new((), 4, "loss", node)


def _log_probabilities(tape: Tape, rows: Dim, outputs: Dim, *, smoothing: bool) -> Tensor:
    """The log-probabilities of a chunk, which become the gradient of its logits in place."""
    log_p = tape.new((rows, outputs), 4, "log-probabilities of a chunk, then their gradient")
    keep = tape.new((rows,), 1, "which targets count")
    if smoothing:
        mean = tape.new((rows,), 4, "mean of the log-probabilities of each row")
        counted = tape.new((rows,), 4, "those that count")
        del mean, counted
    places = tape.new((rows,), 8, "rows of a chunk")
    targets = tape.new((rows,), 8, "targets of a chunk")
    found = tape.new((rows,), 4, "probabilities of the targets of a chunk")
    del keep, places, targets, found
    return log_p


def _back(node: Node, grad: Tensor) -> Gradients:
    del grad
    tape = node.tape
    grad_x, grad_weight, *grad_bias = node.kept()
    x32 = ops.cast(tape, grad_x, 4, "fp32 gradient of the hidden states")
    scaled = tape.new(grad_x.shape, 4, "scaled gradient of the hidden states")
    del x32
    result = ops.cast(tape, scaled, grad_x.width, "scaled gradient of the hidden states")
    del scaled
    label = "scaled gradient of the output bias"
    of_bias = [tape.new(each.shape, each.width, label) for each in grad_bias]
    of_weight = tape.new(
        grad_weight.shape, grad_weight.width, "scaled gradient of the output matrix"
    )
    return (result, of_weight, *of_bias)
