"""`workbench.models.bert` on paper: what comes before the blocks, a block, what comes after.

Shapes: B sequences, T positions, D width, V vocabulary, J classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.estimate.network import decoder
from workbench.estimate.network.attention import attention
from workbench.estimate.network.feed_forward import activate, feed_forward
from workbench.estimate.network.linear import linear
from workbench.estimate.network.lora import Kind, name_of
from workbench.estimate.network.loss import cross_entropy
from workbench.estimate.network.norm import norm
from workbench.estimate.network.segment import Ends, record
from workbench.estimate.network.sight import lent, see, shared_mask
from workbench.estimate.tape import ops
from workbench.estimate.tape.modules import enter, leave
from workbench.estimate.tape.ops_attention import dropout
from workbench.estimate.tape.tensor import Parameter, Tensor

if TYPE_CHECKING:
    from workbench.estimate.network.decoder import Tables
    from workbench.estimate.network.sizes import Segment
    from workbench.estimate.network.structure import Structure
    from workbench.estimate.tape.autograd import Node
    from workbench.estimate.tape.ops import Gradients
    from workbench.estimate.tape.tensor import Tape


def parts(
    s: Structure, *, accumulating: bool, waiting: bool
) -> tuple[Segment, tuple[Segment, ...], Segment]:
    """The closed forms of front, block and tail."""

    def front_(tape: Tape, given: list[Tensor]) -> tuple[Tensor, Tables]:
        del given
        return front(tape, s)

    def block_(tape: Tape, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return block(tape, x, s, decoder.shared_tables(s, mask))

    def tail_(tape: Tape, given: list[Tensor]) -> Tensor:
        return tail(tape, given, s)

    ends: Ends = {"accumulating": accumulating, "waiting": waiting}
    adapted = s.lora

    def kind(each: Kind) -> Segment:
        return record(
            name_of(each, "block"),
            s,
            block_,
            recomputed=s.recompute != "none",
            weight_width=s.weight_width,
            extras=shared_mask(s),
            lora=None if adapted is None else adapted.adapters(each.layers),
            learns_before=each.before,
            **ends,
        )

    return (
        record(
            "embedding",
            s,
            front_,
            has_input=False,
            lora=None if adapted is None else adapted.adapters(),
            **ends,
        ),
        tuple(kind(each) for each in ((Kind(),) if adapted is None else adapted.kinds)),
        record(
            "loss",
            s,
            tail_,
            takes_input=True,
            extras=lent(shared_mask(s)),
            lora=None if adapted is None else adapted.adapters(adapted.tail),
            learns_before=adapted is None or adapted.before_the_end,
            **ends,
        ),
    )


def front(tape: Tape, s: Structure) -> tuple[Tensor, Tables]:
    """Embeddings of tokens, of the kind of text and of positions, normed; and what blocks share."""
    decoder.begin_model(tape, s, "text_embedding")
    table = Parameter(tape, "embedding", ("V", "D"))
    kinds = Parameter(tape, "text_embedding", (2, "D"))
    found = ops.embedding(tape, table, ("B", "T", "D"))
    x = ops.add_rows(tape, found, ops.piece(tape, kinds, ("D",)))
    del found
    if s.learned_positions:
        x = decoder.add_positions(tape, x, s)
    x = norm(tape, x, "embedding_norm", s)
    if s.options.embedding_dropout:
        x = dropout(tape, x, cpu=s.cpu)
    x = ops.cast(tape, x, s.width, "residual stream")
    tables = decoder.angles(tape, s)
    mask = see(tape, s)
    if mask is not None:
        tables["mask"] = mask
    return x, decoder.left_behind(s, tables)


def block(tape: Tape, x_BTD: Tensor, s: Structure, tables: Tables) -> Tensor:
    """Attention and a feed-forward network, each added and then normed."""
    (x_BTD,) = enter(tape, "block", x_BTD)
    y_BTD = attention(tape, x_BTD, s, tables, causal=False)
    total = ops.add(tape, x_BTD, decoder.drop(tape, y_BTD, s), "residual stream")
    x_BTD = norm(tape, total, "attention_norm", s)
    del total
    y_BTD = feed_forward(tape, x_BTD, s)
    y_BTD = decoder.drop(tape, y_BTD, s)
    total = ops.add(tape, x_BTD, y_BTD, "residual stream")
    return leave(tape, "block", norm(tape, total, "feed_forward_norm", s))[0]


def tail(tape: Tape, given: list[Tensor], s: Structure) -> Tensor:
    """The head and the loss; the model has returned when the loss begins."""
    hidden_BTD = _head(tape, given[0], s)
    given.clear()
    (hidden_BTD,) = leave(tape, "model", hidden_BTD)
    language = s.options.head == "language"
    tied = language and s.tied
    name = decoder.output_of(s)
    shape = ("V" if language else "J", "D")
    output = Parameter(
        tape, name, shape, shared=tied, narrow=tape.narrow and not tied and tape.lora is None
    )
    if tied:
        # It waits in the autograd engine until that of the embedding has come, too.
        output.has_gradient = False
    loss = cross_entropy(tape, hidden_BTD, output, s, Parameter(tape, "output_bias", shape[:1]))
    return leave(tape, "objective", loss)[0]


def _head(tape: Tape, x_BTD: Tensor, s: Structure) -> Tensor:
    (x_BTD,) = enter(tape, "head", x_BTD)
    return leave(tape, "head", _transformed(tape, x_BTD, s))[0]


def _transformed(tape: Tape, x_BTD: Tensor, s: Structure) -> Tensor:
    if s.options.head == "language":
        y_BTD = linear(tape, x_BTD, "head.dense_proj", "D", "D", bias=True)
        active = activate(tape, y_BTD, s.act)
        del y_BTD
        return norm(tape, active, "head.norm", s)
    if s.options.head == "token_classification":
        return decoder.drop(tape, x_BTD, s)
    first = linear(
        tape, ops.piece(tape, x_BTD, ("B", 1, "D")), "head.pooler_proj", "D", "D", bias=True
    )
    bent = ops.elementwise(tape, first, "first position")
    del first
    bent = decoder.drop(tape, bent, s)
    return ops.make(
        tape, (bent,), x_BTD.shape, bent.width, "first position, padded", back=_first_back
    )


def _first_back(node: Node, grad: Tensor) -> Gradients:
    del node
    return (Tensor(grad.storage, ("B", 1, "D"), grad.width, None, grad),)
