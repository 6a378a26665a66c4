"""`ava_kernels.linear_cross_entropy` on paper: the logits of a chunk of tokens at a time.

Shapes: N tokens, D width, V vocabulary or classes, C tokens of a chunk, Z of the last one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from workbench.estimate.network.token_loss import token_loss
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


class LossOf(NamedTuple):
    """A loss beside that of the next token, which is always the plain one.

    Attributes:
        chunks: 1, 2 or 3: how it goes through its tokens.
        last: Tokens of the last chunk.
    """

    chunks: int
    last: Dim


def cross_entropy(
    tape: Tape,
    x: Tensor,
    weight: Tensor,
    s: Structure,
    bias: Tensor | None = None,
    part: LossOf | None = None,
) -> Tensor:
    """The summed loss; the gradients that are wanted are made in the forward pass.

    Args:
        tape: The tape.
        x: Hidden states.
        weight: The output matrix.
        s: The structure.
        bias: What is added to the logits.
        part: Of which tokens; None: that of the next token, as the options say.
    """
    outputs, width = weight.shape[0], x.width
    special = s.options.special if part is None else None
    chunks, last = part or LossOf(s.chunks, "Z")
    inputs = (x, weight) if bias is None else (x, weight, bias)
    wants = any(each.needs_grad for each in inputs)
    node = Node(tape, inputs, _back, tuple(each.needs_grad for each in inputs)) if wants else None
    cast = ops.cast(tape, weight.detach(), width, "output matrix in the compute dtype")
    labels = ("hidden states", "output matrix", "output bias")
    found = [
        tape.new(each.shape, each.width, f"gradient of the {label}") if each.needs_grad else None
        for each, label in zip(inputs, labels, strict=False)
    ]
    # A variable of the kernel's loop keeps its value until it gets the next one.
    held: dict[str, Tensor | None] = {}
    for index in range(chunks):
        rows: Dim = last if index == chunks - 1 else "C"
        product = tape.new((rows, outputs), width, "logits of a chunk")
        held["logits"] = logits = ops.cast(tape, product, 4, "fp32 logits of a chunk")
        del product
        if special is None:
            smoothing = s.options.smoothing
            slope = _log_probabilities(tape, rows, outputs, smoothing=smoothing, wants=wants)
        else:
            slope = token_loss(tape, logits, special, wants=wants)
        held["slope"] = slope
        del logits
        if slope is None:
            continue
        if bias is not None and bias.needs_grad:
            added = tape.new((outputs,), 4, "gradient of the output bias from a chunk")
            del added
        held["grad"] = ops.cast(tape, slope, width, "gradient of the logits of a chunk")
        del slope
        if x.needs_grad:
            product = tape.new((rows, "D"), width, "gradient of the hidden states of a chunk")
            del product
        if weight.needs_grad:
            product = tape.new(weight.shape, width, "gradient of the output matrix from a chunk")
            if s.cpu and width != weight.width:
                copy = tape.new(weight.shape, 4, "the same in fp32, as a CPU adds")
                del copy
            del product
    held.clear()
    del cast
    if node is not None:
        # Another loss than the plain one lets nothing be moved (`workbench.training.objective`).
        offload, tape.offload = tape.offload, tape.offload if special is None else None
        node.save(*(each for each in found if each is not None))
        tape.offload = offload
    found.clear()
    return tape.new((), 4, "loss", node)


def _log_probabilities(
    tape: Tape, rows: Dim, outputs: Dim, *, smoothing: bool, wants: bool
) -> Tensor | None:
    """The log-probabilities of a chunk, which become the gradient of its logits in place."""
    log_p = tape.new((rows, outputs), 4, "log-probabilities of a chunk, then their gradient")
    keep = tape.new((rows,), 1, "which targets count")
    if smoothing:
        mean = tape.new((rows,), 4, "mean of the log-probabilities of each row")
        counted = tape.new((rows,), 4, "those that count")
        del mean, counted
    if not wants:
        return None
    places = tape.new((rows,), 8, "rows of a chunk")
    targets = tape.new((rows,), 8, "targets of a chunk")
    found = tape.new((rows,), 4, "probabilities of the targets of a chunk")
    del keep, places, targets, found
    return log_p


def _back(node: Node, grad: Tensor) -> Gradients:
    del grad
    tape = node.tape
    kept = iter(node.kept())
    to_x, to_weight, *to_bias = node.memo
    result = of_weight = None
    if to_x:
        grad_x = next(kept)
        x32 = ops.cast(tape, grad_x, 4, "fp32 gradient of the hidden states")
        scaled = tape.new(grad_x.shape, 4, "scaled gradient of the hidden states")
        del x32
        result = ops.cast(tape, scaled, grad_x.width, "scaled gradient of the hidden states")
        del scaled
    grad_weight = next(kept) if to_weight else None
    of_bias = [
        _scaled(tape, next(kept), "scaled gradient of the output bias") if wanted else None
        for wanted in to_bias
    ]
    if grad_weight is not None:
        of_weight = _scaled(tape, grad_weight, "scaled gradient of the output matrix")
    return (result, of_weight, *of_bias)


def _scaled(tape: Tape, x: Tensor, label: str) -> Tensor:
    return tape.new(x.shape, x.width, label)
