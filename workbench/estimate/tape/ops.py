"""The operations of the models: what each allocates, keeps, and makes on its way back.

What is kept follows torch/tools/autograd/derivatives.yaml; what a backward pass allocates on its
way was read off torch 2.13 and is compared with it allocation by allocation in the tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.estimate.tape.autograd import Back, Node
from workbench.estimate.tape.tensor import Dim, Tensor

if TYPE_CHECKING:
    from workbench.estimate.tape.tensor import Tape

Gradients = tuple[Tensor | None, ...]


def make(
    tape: Tape,
    inputs: tuple[Tensor, ...],
    shape: tuple[Dim, ...],
    width: int,
    label: str,
    *,
    keep: tuple[Tensor, ...] = (),
    keep_result: bool = False,
    back: Back = None,
    memo: Any = None,
    kind: str = "",
    late: bool = False,
) -> Tensor:
    """One operation with one result.

    Args:
        tape: The tape.
        inputs: The operands that gradients may go to.
        shape: Shape of the result.
        width: Bytes per element of the result.
        label: What the result is.
        keep: Tensors that the backward pass needs.
        keep_result: Whether it needs the result.
        back: The backward pass.
        memo: What it has to know besides.
        kind: Its kind, for regions that keep the results of some.
        late: Whether it keeps what it needs only once it has its result, as functions in Python do.
    """
    node = None
    if tape.grad and any(each.needs_grad for each in inputs):
        node = Node(tape, inputs, back, memo)
        if not late:
            node.save(*keep)
    region = tape.region
    if region is not None and kind in region.keeps:
        if region.phase == "again":
            held = region.cache.pop(0)
            result = Tensor(held.storage, shape, width, node)
            del held
        else:
            result = tape.new(shape, width, label, node)
            region.cache.append(result.detach())
    else:
        result = tape.new(shape, width, label, node)
    if node is not None:
        node.save(*(keep if late else ()), *((result,) if keep_result else ()))
    return result


def view(tape: Tape, x: Tensor, shape: tuple[Dim, ...]) -> Tensor:
    """Another shape over the same memory."""
    node = None
    if tape.grad and x.needs_grad:
        node = Node(tape, (x,), _view_back, x.shape)
    return Tensor(x.storage, shape, x.width, node)


def _view_back(node: Node, grad: Tensor) -> Gradients:
    return (Tensor(grad.storage, node.memo, grad.width, None, grad.base or grad),)


def cast(tape: Tape, x: Tensor, width: int, label: str = "cast") -> Tensor:
    """``x.to(dtype)``: nothing where the dtype is the same."""
    if x.width == width:
        return x
    return make(tape, (x,), x.shape, width, label, back=_cast_back, memo=x.width)


def _cast_back(node: Node, grad: Tensor) -> Gradients:
    return (node.tape.new(grad.shape, node.memo, "gradient of a cast"),)


def linear(
    tape: Tape, x: Tensor, weight: Tensor, out: Dim, bias: Tensor | None = None, label: str = ""
) -> Tensor:
    """``x W^T (+ b)`` of rows: the matrix product keeps both factors."""
    # DeepSpeed puts a layer of its own in the place of torch's (zero/linear.py): it keeps both.
    own = tape.modules is not None
    # Torch turns a weight's gradient on its way, so that of a bias comes first.
    inputs = (x, weight) if bias is None else (x, weight, bias) if own else (bias, x, weight)
    keep = ((x,) if weight.needs_grad or own else ()) + ((weight,) if x.needs_grad or own else ())
    shape = (*x.shape[:-1], out)
    memo = (
        x.shape,
        weight.shape,
        x.needs_grad,
        weight.needs_grad,
        bias is not None and bias.needs_grad,
    )
    flat = make(
        tape,
        inputs,
        shape,
        x.width,
        label,
        keep=keep,
        back=_linear_back,
        memo=memo,
        kind="product",
        late=own,
    )
    if len(shape) == 2:
        return flat
    # The product is one of two matrices; its shape comes back by a view.
    return view(tape, flat, shape)


def _linear_back(node: Node, grad: Tensor) -> Gradients:
    x_shape, weight_shape, to_x, to_weight, to_bias = node.memo
    tape, width = node.tape, grad.width
    node.kept()

    def of_weight() -> Tensor | None:
        return tape.new(weight_shape, width, "gradient of a weight") if to_weight else None

    def of_x() -> Tensor | None:
        if not to_x:
            return None
        found = tape.new(x_shape, width, "gradient of an input")
        return found if len(x_shape) <= 2 else Tensor(found.storage, x_shape, width, None, found)

    if len(node.inputs) == 2:
        grad_weight = of_weight()
        return of_x(), grad_weight
    grad_x = of_x()
    grad_weight = of_weight()
    grad_bias = tape.new(weight_shape[:1], width, "gradient of a bias") if to_bias else None
    if tape.modules is not None:
        return grad_x, grad_weight, grad_bias
    return grad_bias, grad_x, grad_weight


def add_rows(tape: Tape, x: Tensor, rows: Tensor) -> Tensor:
    """``x + rows``, the same rows for every sequence."""
    return make(tape, (x, rows), x.shape, x.width, "sum", back=_add_rows_back, memo=rows.shape)


def _add_rows_back(node: Node, grad: Tensor) -> Gradients:
    return grad, node.tape.new(node.memo, grad.width, "gradient of rows")


def add(tape: Tape, x: Tensor, y: Tensor, label: str = "sum") -> Tensor:
    """``x + y`` of one shape."""
    return make(tape, (x, y), x.shape, max(x.width, y.width), label, back=_add_back)


def _add_back(node: Node, grad: Tensor) -> Gradients:
    del node
    return grad, Tensor(grad.storage, grad.shape, grad.width)


def mul(tape: Tape, x: Tensor, y: Tensor, label: str = "product of elements") -> Tensor:
    """``x * y``; the second may be smaller and is then no function of a parameter."""
    keep = ((y,) if x.needs_grad else ()) + ((x,) if y.needs_grad else ())
    return make(
        tape,
        (x, y),
        x.shape,
        x.width,
        label,
        keep=keep,
        back=_mul_back,
        memo=(x.shape, y.shape, x.needs_grad, y.needs_grad),
    )


def _mul_back(node: Node, grad: Tensor) -> Gradients:
    x_shape, y_shape, to_x, to_y = node.memo
    tape = node.tape
    node.kept()
    grad_x = tape.new(x_shape, grad.width, "gradient of a factor") if to_x else None
    grad_y = None
    if to_y:
        whole = tape.new(x_shape, grad.width, "gradient of a factor")
        grad_y = whole
        if y_shape != x_shape:
            grad_y = tape.new(y_shape, grad.width, "gradient of a small factor")
        del whole
    return grad_x, grad_y


def elementwise(tape: Tape, x: Tensor, label: str) -> Tensor:
    """An activation that keeps its input: silu, gelu."""
    return make(tape, (x,), x.shape, x.width, label, keep=(x,), back=_elementwise_back)


def _elementwise_back(node: Node, grad: Tensor) -> Gradients:
    node.kept()
    return (node.tape.new(grad.shape, grad.width, "gradient of an activation"),)


def relu(tape: Tape, x: Tensor) -> Tensor:
    """Relu keeps its result."""
    return make(tape, (x,), x.shape, x.width, "relu", keep_result=True, back=_elementwise_back)


def square(tape: Tape, x: Tensor) -> Tensor:
    """``x.square()``."""
    return make(tape, (x,), x.shape, x.width, "square", keep=(x,), back=_square_back)


def _square_back(node: Node, grad: Tensor) -> Gradients:
    tape = node.tape
    node.kept()
    power = tape.new(grad.shape, grad.width, "x of a square")
    slope = tape.new(grad.shape, grad.width, "2x of a square")
    result = tape.new(grad.shape, grad.width, "gradient of a square")
    del power, slope
    return (result,)


def neg(tape: Tape, x: Tensor) -> Tensor:
    """``-x``."""
    return make(tape, (x,), x.shape, x.width, "negative", back=_neg_back)


def _neg_back(node: Node, grad: Tensor) -> Gradients:
    return (node.tape.new(grad.shape, grad.width, "gradient of a negative"),)


def turned(tape: Tape, x: Tensor, half: tuple[Dim, ...]) -> Tensor:
    """``cat((-second, first))`` of the two halves of the last dimension."""
    part = tape.new(half, x.width, "negative half")
    whole = make(tape, (x,), x.shape, x.width, "quarter turn", back=_turned_back, memo=half)
    del part
    return whole


def _turned_back(node: Node, grad: Tensor) -> Gradients:
    part = node.tape.new(node.memo, grad.width, "gradient of a half")
    whole = node.tape.new(grad.shape, grad.width, "gradient of a quarter turn")
    del part
    return (whole,)


def turned_pairs(tape: Tape, x: Tensor, half: tuple[Dim, ...]) -> Tensor:
    """``stack((-odd, even))`` of the neighbours in the last dimension."""
    odd = neg(tape, piece(tape, x, half))
    return joined(tape, odd, piece(tape, x, half), x.shape)


def piece(tape: Tape, x: Tensor, shape: tuple[Dim, ...]) -> Tensor:
    """A part of the last dimension; backwards its gradient is written into a whole tensor."""
    node = None
    if tape.grad and x.needs_grad:
        node = Node(tape, (x,), _piece_back, x.shape)
    return Tensor(x.storage, shape, x.width, node)


def _piece_back(node: Node, grad: Tensor) -> Gradients:
    return (node.tape.new(node.memo, grad.width, "gradient of a part"),)


def joined(tape: Tape, x: Tensor, y: Tensor, shape: tuple[Dim, ...]) -> Tensor:
    """``cat`` along the last dimension; backwards two views."""
    return make(tape, (x, y), shape, x.width, "joined", back=_joined_back, memo=(x.shape, y.shape))


def _joined_back(node: Node, grad: Tensor) -> Gradients:
    return tuple(Tensor(grad.storage, shape, grad.width, None, grad) for shape in node.memo)


def mean_square(tape: Tape, x: Tensor) -> Tensor:
    """``rsqrt(mean(x ** 2, -1) + eps)`` of each row."""
    row = (*x.shape[:-1], 1)
    squared = make(tape, (x,), x.shape, x.width, "square", keep=(x,), back=_square_back)
    mean = make(tape, (squared,), row, x.width, "mean square", back=_mean_back, memo=x.shape)
    return make(tape, (mean,), row, x.width, "rstd", keep_result=True, back=_rsqrt_back)


def _mean_back(node: Node, grad: Tensor) -> Gradients:
    return (node.tape.new(node.memo, grad.width, "gradient of a mean"),)


def _rsqrt_back(node: Node, grad: Tensor) -> Gradients:
    tape = node.tape
    node.kept()
    cube = tape.new(grad.shape, grad.width, "cube")
    scaled = tape.new(grad.shape, grad.width, "half cube")
    result = tape.new(grad.shape, grad.width, "gradient of a mean square")
    del cube, scaled
    return (result,)


def fused_norm(
    tape: Tape, x: Tensor, weight: Tensor, bias: Tensor | None, statistics: int, label: str
) -> Tensor:
    """A norm in one kernel: it keeps its input and ``statistics`` numbers per row in fp32."""
    inputs = (x, weight) if bias is None else (x, weight, bias)
    row = (*x.shape[:-1], 1)
    kept = tuple(tape.new(row, 4, "statistics of a norm") for _ in range(statistics))
    wanted = (x.needs_grad, weight.needs_grad, bias is not None and bias.needs_grad)
    memo = (weight.shape, bias is not None, wanted)
    y = make(tape, inputs, x.shape, x.width, label, keep=(x,), back=_fused_norm_back, memo=memo)
    if y.node is not None:
        y.node.save(*kept)
    return y


def _fused_norm_back(node: Node, grad: Tensor) -> Gradients:
    tape = node.tape
    weight_shape, has_bias, wanted = node.memo
    node.kept()
    shapes = (grad.shape, weight_shape, weight_shape)
    labels = ("gradient of a norm", "gradient of a weight", "gradient of a bias")
    found = [
        tape.new(shape, grad.width, label) if wants else None
        for shape, label, wants in zip(shapes, labels, wanted, strict=True)
    ]
    return tuple(found if has_bias else found[:2])


def flash_attention(
    tape: Tape, q: Tensor, k: Tensor, v: Tensor, out: tuple[Dim, ...], rows: tuple[Dim, ...]
) -> Tensor:
    """Attention that keeps its operands, its result, and the log of each row's sum in fp32."""
    memo = (q.shape, k.shape, v.shape)
    node = None
    if tape.grad and (q.needs_grad or k.needs_grad or v.needs_grad):
        node = Node(tape, (q, k, v), _flash_back, memo)
        node.save(q, k, v)
    region = tape.region
    kept = region is not None and "attention" in region.keeps
    if kept and region is not None and region.phase == "again":
        held, logs = region.cache.pop(0), region.cache.pop(0)
        result = Tensor(held.storage, out, q.width, node)
        sums = Tensor(logs.storage, rows, 4)
        del held, logs
    else:
        result = tape.new(out, q.width, "attention output", node)
        sums = tape.new(rows, 4, "log of the sums of attention")
        if kept and region is not None:
            region.cache += [result.detach(), sums.detach()]
    if node is not None:
        node.save(result, sums)
    return result


def _flash_back(node: Node, grad: Tensor) -> Gradients:
    tape = node.tape
    q_shape, k_shape, v_shape = node.memo
    node.kept()
    return (
        tape.new(q_shape, grad.width, "gradient of the queries"),
        tape.new(k_shape, grad.width, "gradient of the keys"),
        tape.new(v_shape, grad.width, "gradient of the values"),
    )


def blocked_attention(
    tape: Tape,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: tuple[Dim, ...],
    *,
    copies: tuple[bool, bool],
    mask: Tensor | None = None,
) -> Tensor:
    """`ava_kernels.causal_attention` on a CPU: it keeps its operands and nothing else.

    Args:
        tape: The tape.
        q: Queries.
        k: Keys.
        v: Values.
        out: Shape of the result.
        copies: Whether queries, and whether keys and values, have to be copied to be read row by
            row: not where there is one head.
        mask: What else is not seen.
    """
    node = None
    if tape.grad and (q.needs_grad or k.needs_grad or v.needs_grad):
        node = Node(tape, (q, k, v), _blocked_back, (q.shape, k.shape, v.shape, copies))
    region = tape.region
    kept = region is not None and "attention" in region.keeps
    if kept and region is not None and region.phase == "again":
        held = region.cache.pop(0)
        result = Tensor(held.storage, out, q.width, node)
        del held
    else:
        result = _blocked_forward(tape, q, k, v, out, copies, node)
        if kept and region is not None:
            region.cache.append(result.detach())
    if node is not None:
        node.save(q, k, v, *(() if mask is None else (mask,)))
    return result


def _blocked_forward(
    tape: Tape,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: tuple[Dim, ...],
    copies: tuple[bool, bool],
    node: Node | None,
) -> Tensor:
    scaled = tape.new(q.shape, q.width, "scaled queries")
    rows = tape.new(q.shape, q.width, "queries by heads") if copies[0] else scaled
    del scaled
    others = [tape.new(e.shape, e.width, "keys and values by heads") for e in (k, v) if copies[1]]
    y = tape.new(out, q.width, "attention output by heads")
    scores = tape.new(("X",), q.width, "scores of blocks")
    del scores
    result = tape.new(out, q.width, "attention output", node)
    del rows, y, others
    return result


def _blocked_back(node: Node, grad: Tensor) -> Gradients:
    tape, width = node.tape, grad.width
    q_shape, k_shape, v_shape, copies = node.memo
    node.kept()
    scaled = tape.new(q_shape, width, "scaled queries")
    rows = tape.new(q_shape, width, "queries by heads") if copies[0] else scaled
    del scaled
    back = tape.new((*q_shape[:-1], v_shape[-1]), width, "gradient by heads") if copies[0] else None
    others = [
        tape.new(e, width, "keys and values by heads") for e in (k_shape, v_shape) if copies[1]
    ]
    dq = tape.new(q_shape, width, "gradient of the queries")
    dk = tape.new(k_shape, width, "gradient of the keys")
    dv = tape.new(v_shape, width, "gradient of the values")
    scores = tape.new(("Y",), width, "scores of blocks and their gradients")
    del rows, back, others, scores
    return dq, dk, dv


def embedding(
    tape: Tape, weight: Tensor, shape: tuple[Dim, ...], *, keep: Tensor | None = None
) -> Tensor:
    """Rows of a table; backwards a whole table of gradients.

    Args:
        tape: The tape.
        weight: The table.
        shape: The shape of the result.
        keep: The numbers of the rows, where they are made for it.
    """
    return make(
        tape,
        (weight,),
        shape,
        weight.width,
        "embedding",
        keep=() if keep is None else (keep,),
        back=_embedding_back,
        memo=weight.shape,
    )


def _embedding_back(node: Node, grad: Tensor) -> Gradients:
    node.kept()
    return (node.tape.new(node.memo, grad.width, "gradient of a table"),)
