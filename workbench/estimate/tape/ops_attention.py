"""The operations of attention beside the fused kernels for causal sights, and dropout.

`F.scaled_dot_product_attention` without a fused kernel follows
aten/src/ATen/native/transformers/attention.cpp (`_scaled_dot_product_attention_math`), CUDA's
memory-efficient kernel cuda/attention.cu, both torch 2.13.

Shapes: B sequences, T queries, S keys, H query heads, G key heads, K width of a query or key head,
V width of a value head.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from workbench.estimate.tape import ops
from workbench.estimate.tape.autograd import Node
from workbench.estimate.tape.tensor import Tensor

if TYPE_CHECKING:
    from workbench.estimate.tape.ops import Gradients
    from workbench.estimate.tape.tensor import Dim, Tape


class Layout(NamedTuple):
    """What decides whether heads have to be copied to stand in a row.

    Attributes:
        cpu: Whether a CPU computes: it drops out by a product of floats, and copies an operand of
            another dtype.
        several_sequences: Whether there is more than one.
        several_heads: Whether there is more than one query head.
        several_groups: Whether there is more than one key head.
        grouped: Whether query heads share key heads.
    """

    cpu: bool
    several_sequences: bool
    several_heads: bool
    several_groups: bool
    grouped: bool


def _like(node: Node, grad: Tensor) -> Gradients:
    return (node.tape.new(node.memo, grad.width, "gradient on its way through attention"),)


def _same(node: Node, grad: Tensor) -> Gradients:
    del node
    return (Tensor(grad.storage, grad.shape, grad.width, None, grad.base),)


def scaled(tape: Tape, x: Tensor, label: str) -> Tensor:
    """A tensor times a number."""
    return ops.make(tape, (x,), x.shape, x.width, label, back=_like, memo=x.shape)


def copied(tape: Tape, x: Tensor, label: str) -> Tensor:
    """The same numbers in another order; backwards nothing is copied."""
    return ops.make(tape, (x,), x.shape, x.width, label, back=_same)


def split_heads(tape: Tape, x: Tensor, shape: tuple[Dim, ...], *, copies: bool) -> Tensor:
    """A view by heads; with ``copies`` its gradient comes head by head and has to be copied."""
    if not copies:
        return ops.view(tape, x, shape)
    node = None
    if tape.grad and x.needs_grad:
        node = Node(tape, (x,), _like, x.shape)
    return Tensor(x.storage, shape, x.width, node)


def dropout(tape: Tape, x: Tensor, *, cpu: bool) -> Tensor:
    """Zero some numbers: a CPU multiplies by floats, CUDA keeps a byte for each."""
    if cpu:
        noise = tape.new(x.shape, x.width, "what dropout multiplies by")
        y = ops.make(
            tape, (x,), x.shape, x.width, "dropout", keep=(noise,), back=_dropout_back, memo=x.shape
        )
        del noise
        return y
    node = None
    if tape.grad and x.needs_grad:
        node = Node(tape, (x,), _dropout_back, x.shape)
    y = tape.new(x.shape, x.width, "dropout", node)
    kept = tape.new(x.shape, 1, "what dropout kept")
    if node is not None:
        node.save(kept)
    return y


def _dropout_back(node: Node, grad: Tensor) -> Gradients:
    node.kept()
    return (node.tape.new(node.memo, grad.width, "gradient of dropout"),)


def product(tape: Tape, x: Tensor, y: Tensor, shape: tuple[Dim, ...], label: str) -> Tensor:
    """Matrix products, one for each head."""
    keep = ((x,) if y.needs_grad else ()) + ((y,) if x.needs_grad else ())
    memo = (x.shape, y.shape, x.needs_grad, y.needs_grad)
    return ops.make(
        tape,
        (x, y),
        shape,
        x.width,
        label,
        keep=keep,
        back=_product_back,
        memo=memo,
        kind="product",
    )


def _product_back(node: Node, grad: Tensor) -> Gradients:
    tape, width = node.tape, grad.width
    x_shape, y_shape, to_x, to_y = node.memo
    node.kept()
    grad_y = tape.new(y_shape, width, "gradient of a factor") if to_y else None
    grad_x = tape.new(x_shape, width, "gradient of a factor") if to_x else None
    return grad_x, grad_y


def repeated(tape: Tape, x: Tensor, heads: Dim, label: str) -> Tensor:
    """Each key head as often as query heads share it; backwards they are added up."""
    shape = (*x.shape[:2], heads, x.shape[3])
    return ops.make(tape, (x,), shape, x.width, label, back=_like, memo=x.shape)


def added(tape: Tape, scores: Tensor, mask: Tensor, layout: Layout, *, in_place: bool) -> Tensor:
    """Scores and what is added to them; the mask's gradient is the sum over what shared it."""
    copy = None
    if layout.cpu and mask.width != scores.width:
        copy = tape.new(mask.shape, scores.width, "mask in the dtype of the scores")
    shared = layout.several_sequences and mask.shape[0] == 1
    inputs, memo = (scores, mask), (mask.shape, mask.width, mask.needs_grad, shared)
    if not in_place:
        y = ops.make(
            tape,
            inputs,
            scores.shape,
            scores.width,
            "masked scores",
            back=_added_back,
            memo=memo,
        )
        del copy
        return y
    node = None
    if tape.grad and (scores.needs_grad or mask.needs_grad):
        node = Node(tape, inputs, _added_back, memo)
    return Tensor(scores.storage, scores.shape, scores.width, node)


def _added_back(node: Node, grad: Tensor) -> Gradients:
    shape, width, wanted, shared = node.memo
    of_mask = None
    if wanted:
        of_mask = Tensor(grad.storage, shape, grad.width, None, grad.base)
        if shared:
            of_mask = node.tape.new(shape, grad.width, "gradient of the mask")
        if width != grad.width:
            of_mask = node.tape.new(shape, width, "gradient of the mask")
    return Tensor(grad.storage, grad.shape, grad.width, None, grad.base), of_mask


def hidden(tape: Tape, scores: Tensor, mask: Tensor) -> Tensor:
    """``masked_fill`` of what the mask does not let see."""
    outside = tape.new(mask.shape, 1, "what is not seen")
    return ops.make(
        tape,
        (scores,),
        scores.shape,
        scores.width,
        "masked scores",
        keep=(outside,),
        back=_dropout_back,
        memo=scores.shape,
    )


def softmax(tape: Tape, x: Tensor, *, safe: bool) -> Tensor:
    """Shares of each row; ``safe`` also of rows that see nothing, which are looked for."""
    y = ops.make(
        tape,
        (x,),
        x.shape,
        x.width,
        "attention weights",
        keep_result=True,
        back=_dropout_back,
        memo=x.shape,
    )
    if safe:
        hidden = tape.new(x.shape, 1, "scores that are minus infinity")
        rows = tape.new((*x.shape[:-1], 1), 1, "rows that see nothing")
        zero = tape.new((), x.width, "zero")
        del hidden, rows, zero
    return y


def plain_attention(
    tape: Tape,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    layout: Layout,
    *,
    mask: Tensor | None,
    causal: bool,
    drops: bool,
) -> Tensor:
    """PyTorch's attention where it has no fused kernel: all scores, in fp32.

    A copied operand is one whose heads do not stand in a row: those of several sequences do not.
    """
    origin = q.width
    scores_shape = (q.shape[0], q.shape[2], q.shape[1], k.shape[1])
    if mask is not None and mask.width == 1:
        mask = tape.new(mask.shape, origin, "mask that is added")
    q32 = ops.cast(tape, q, 4, "fp32 queries")
    k32 = ops.cast(tape, k, 4, "fp32 keys")
    v32 = ops.cast(tape, v, 4, "fp32 values")
    query = scaled(tape, q32, "scaled queries")
    if causal:
        ones = tape.new(scores_shape[2:], 1, "ones")
        seen = tape.new(scores_shape[2:], 1, "what is seen")
        del ones
        mask = tape.new(scores_shape[2:], 4, "mask that is added")
        del seen
    keys, values = k32, v32
    if layout.grouped:
        keys = repeated(tape, k32, q.shape[2], "keys for each head")
        values = repeated(tape, v32, q.shape[2], "values for each head")
    apart = layout.several_sequences and layout.several_heads
    moved = scaled(tape, keys, "scaled keys")
    left = copied(tape, query, "queries by heads") if apart else query
    right = copied(tape, moved, "keys by heads") if apart and not layout.grouped else moved
    del moved
    scores = product(tape, left, right, scores_shape, "scores")
    del left, right
    if mask is not None:
        # Not in place where a mode watches, as that of selective recomputation does.
        watched = tape.region is not None and bool(tape.region.keeps)
        scores = added(tape, scores, mask, layout, in_place=not watched)
    scores = softmax(tape, scores, safe=True)
    if drops:
        scores = dropout(tape, scores, cpu=layout.cpu)
    rounded = ops.cast(tape, scores.detach(), origin, "attention weights in the compute dtype")
    right = copied(tape, values, "values by heads") if apart and not layout.grouped else values
    out = (*q.shape[:3], v.shape[3])
    y = split_heads(tape, product(tape, scores, right, out, "attention output"), out, copies=apart)
    del right
    y = ops.cast(tape, y, origin, "attention output")
    del rounded
    return y


def eager_attention(
    tape: Tape,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    layout: Layout,
    *,
    mask: Tensor | None,
    causal: bool,
    drops: bool,
) -> Tensor:
    """`workbench.models.attend._eager` on paper."""
    scores_shape = (q.shape[0], q.shape[2], q.shape[1], k.shape[1])
    query = scaled(tape, q, "scaled queries")
    apart = layout.several_sequences and layout.several_groups
    if layout.grouped:
        query = copied(tape, query, "queries by key heads")
    left = copied(tape, query, "queries by heads") if apart and not layout.grouped else query
    right = copied(tape, k, "keys by heads") if apart else k
    product_ = product(tape, left, right, scores_shape, "scores")
    del left, right
    scores = ops.cast(tape, product_, 4, "fp32 scores")
    del product_
    if causal and mask is None:
        ones = tape.new(scores_shape[2:], 1, "ones")
        mask = tape.new(scores_shape[2:], 1, "what is seen")
        del ones
    if mask is not None and mask.width == 1:
        scores = hidden(tape, scores, mask)
    elif mask is not None:
        scores = added(tape, scores, mask, layout, in_place=False)
    shares = softmax(tape, scores, safe=False)
    weights = ops.cast(tape, shares, q.width, "attention weights in the compute dtype")
    del shares
    if drops:
        weights = dropout(tape, weights, cpu=layout.cpu)
    right = copied(tape, v, "values by heads") if apart else v
    out = (*q.shape[:3], v.shape[3])
    copies = layout.several_heads and (layout.grouped or apart)
    y = split_heads(
        tape, product(tape, weights, right, out, "attention output"), out, copies=copies
    )
    del query, scores, weights, right, mask
    return y


def masked_attention(
    tape: Tape,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    mask: Tensor,
    layout: Layout,
    padded: bool,
    rows: Dim,
) -> Tensor:
    """A fused kernel with a mask that is added, which it keeps.

    Args:
        tape: The tape.
        q: Queries.
        k: Keys.
        v: Values.
        mask: True where a query may look, or a number for each score.
        layout: Whether it is CUDA's kernel, which also gives the mask a gradient, of each sequence.
        padded: Whether rows of the mask have to be filled up to a multiple of 8.
        rows: Queries as they are counted for the log of the sums.
    """
    if mask.width == 1:
        mask = tape.new(mask.shape, q.width, "mask that is added")
    if padded:
        mask = _padded(tape, mask)
    out = (*q.shape[:3], v.shape[3])
    scores = (q.shape[0], q.shape[2], q.shape[1], k.shape[1])
    once = mask  # what repeats itself is kept once
    if tape.grad and mask.needs_grad and layout.several_sequences and mask.shape[0] == 1:
        # For each sequence; backwards they are added up.
        mask = Tensor(mask.storage, scores, mask.width, Node(tape, (mask,), _like, mask.shape))
    memo = (q.shape, k.shape, v.shape, scores, mask.needs_grad and not layout.cpu)
    node = None
    inputs = (q, k, v, mask)
    if tape.grad and any(each.needs_grad for each in inputs):
        node = Node(tape, inputs, _masked_back, memo)
        node.save(q, k, v, once)
    region = tape.region
    kept = region is not None and "attention" in region.keeps
    if kept and region is not None and region.phase == "again":
        held, logs = region.cache.pop(0), region.cache.pop(0)
        result = Tensor(held.storage, out, q.width, node)
        sums = Tensor(logs.storage, logs.shape, 4)
        del held, logs
    else:
        result = tape.new(out, q.width, "attention output", node)
        sums = tape.new((q.shape[0], q.shape[2], rows), 4, "log of the sums of attention")
        if kept and region is not None:
            region.cache += [result.detach(), sums.detach()]
    if node is not None:
        node.save(result, sums)
    return result


def _padded(tape: Tape, mask: Tensor) -> Tensor:
    shape = (*mask.shape[:-1], f"(-(-({mask.shape[-1]})//8)*8)")
    whole = tape.new(shape, mask.width, "mask with rows filled up")
    node = Node(tape, (mask,), _like, mask.shape) if tape.grad and mask.needs_grad else None
    return Tensor(whole.storage, mask.shape, mask.width, node)


def _masked_back(node: Node, grad: Tensor) -> Gradients:
    tape, width = node.tape, grad.width
    q_shape, k_shape, v_shape, scores, wanted = node.memo
    node.kept()
    dq = tape.new(q_shape, width, "gradient of the queries")
    dk = tape.new(k_shape, width, "gradient of the keys")
    dv = tape.new(v_shape, width, "gradient of the values")
    of_mask = None
    if wanted:
        full = (*scores[:3], f"(-(-({scores[3]})//16)*16)")
        of_mask = tape.new(full, width, "gradient of the mask of each sequence")
    return dq, dk, dv, of_mask
