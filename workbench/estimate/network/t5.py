"""`workbench.models.t5` on paper: an encoder, what lies between, and a decoder that looks back.

What all blocks of a stack share has gradients here: the mask, whose numbers are learned, and what
the encoder has read. They add up over the blocks, beginning with the last one, which is therefore a
kind of its own.

Shapes: B sequences, S positions of the encoder, T positions of the decoder, D width, H heads,
K head width, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.estimate.network.attend import attend, by_heads, keeps_mask
from workbench.estimate.network.feed_forward import GATED, activate
from workbench.estimate.network.linear import linear
from workbench.estimate.network.lora import Kind, name_of
from workbench.estimate.network.loss import cross_entropy
from workbench.estimate.network.norm import rms_norm
from workbench.estimate.network.segment import Ends, Extra, record
from workbench.estimate.network.sight import lent
from workbench.estimate.network.t5_sight import across, distances
from workbench.estimate.tape import ops
from workbench.estimate.tape.ops_attention import copied, dropout, scaled, split_heads
from workbench.estimate.tape.tensor import Parameter

if TYPE_CHECKING:
    from workbench.config.schema import ModelConfig
    from workbench.estimate.network.sizes import Segment
    from workbench.estimate.network.structure import Structure
    from workbench.estimate.tape.tensor import Dim, Tape, Tensor

_KINDS = (
    Kind(stack="encoder"),
    Kind(stack="encoder", last=True),
    Kind(stack="between"),
    Kind(stack="decoder"),
    Kind(stack="decoder", last=True),
)
"""The kinds where every weight learns."""


def kinds_of(s: Structure) -> tuple[Kind, ...]:
    """The kinds of block, those of the encoder first."""
    return _KINDS if s.lora is None else s.lora.kinds


def middle_of(s: Structure) -> int:
    """The kind of what lies between the stacks: it stands among the blocks and is none."""
    return next(place for place, kind in enumerate(kinds_of(s)) if kind.stack == "between")


def runs(model: ModelConfig) -> tuple[tuple[int, int], ...]:
    """The kinds of block in their order, every weight learning: encoder, between, decoder."""
    read, written = model.num_encoder_layers or model.num_layers, model.num_layers
    rows = ((0, read - 1), (1, 1), (2, 1), (3, written - 1), (4, 1))
    return tuple((kind, count) for kind, count in rows if count)


def parts(
    s: Structure, *, accumulating: bool, waiting: bool
) -> tuple[Segment, tuple[Segment, ...], Segment]:
    """The closed forms of what comes before the encoder, of all kinds of block, and of the end."""

    def front_(tape: Tape, given: list[Tensor]) -> tuple[Tensor, list[Tensor], tuple[Tensor, ...]]:
        del given
        return front(tape, s)

    def reads(tape: Tape, x: Tensor, mask: Tensor) -> Tensor:
        return block(tape, x, s, mask, "S")

    def writes(
        tape: Tape, x: Tensor, mask: Tensor, memory: Tensor, seen: Tensor | None = None
    ) -> Tensor:
        return block(tape, x, s, mask, "T", memory, seen)

    def middle_(tape: Tape, given: list[Tensor]) -> tuple[Tensor, list[Tensor], tuple[Tensor, ...]]:
        return middle(tape, given, s)

    def tail_(tape: Tape, given: list[Tensor]) -> Tensor:
        return tail(tape, given, s)

    ends: Ends = {"accumulating": accumulating, "waiting": waiting}
    adapted = s.lora
    nothing = None if adapted is None else adapted.adapters()

    def kind(each: Kind) -> Segment:
        if each.stack == "between":
            return record(
                "encoder's end",
                s,
                middle_,
                takes_input=True,
                length="S",
                extras=lent(of_encoder(s, each)),
                lora=nothing,
                learns_before=each.before,
                **ends,
            )
        encodes = each.stack == "encoder"
        name = name_of(each, f"{each.stack} block")
        return record(
            f"last {name}" if each.last else name,
            s,
            reads if encodes else writes,
            recomputed=s.recompute != "none",
            weight_width=s.weight_width,
            length="S" if encodes else "T",
            extras=of_encoder(s, each) if encodes else of_decoder(s, each),
            lora=None if adapted is None else adapted.adapters(each.layers),
            learns_before=each.before,
            **ends,
        )

    return (
        record("embedding", s, front_, has_input=False, lora=nothing, **ends),
        tuple(kind(each) for each in kinds_of(s)),
        record(
            "loss",
            s,
            tail_,
            takes_input=True,
            extras=lent(of_decoder(s, kinds_of(s)[-1])),
            lora=nothing,
            learns_before=adapted is None or adapted.before_the_end,
            **ends,
        ),
    )


def of_encoder(s: Structure, kind: Kind) -> tuple[Extra, ...]:
    """What blocks of the encoder share: the distances; and what lies beside them meanwhile."""
    mask = _mask(s, "S", waits=not kind.last)
    if not s.options.documents:
        return (mask,)
    return (mask, Extra("who is in the same document", ("B", "S", "S"), 1, kept=False, read=False))


def of_decoder(s: Structure, kind: Kind) -> tuple[Extra, ...]:
    """What blocks of the decoder share: the distances, what was read, and who sees how much."""
    mask = _mask(s, "T", waits=not kind.last)
    memory = Extra(
        "what was read",
        ("B", "S", "D"),
        s.width,
        kept=_keeps_memory(s),
        learns=kind.read,
        waits=kind.read and not kind.last,
    )
    sequences: Dim = "B" if s.options.documents else 1
    earlier = Extra("who is seen", (sequences, "T", "T"), 1, kept=False, read=False)
    if not s.options.documents:
        return (mask, memory, earlier)
    seen = Extra("who sees what was read", ("B", 1, "T", "S"), 1, kept=_keeps_seen(s))
    return (mask, memory, seen, earlier)


def _mask(s: Structure, length: Dim, *, waits: bool = False) -> Extra:
    sequences: Dim = "B" if s.options.documents else 1
    learns = s.lora is None
    padded = s.options.padded[1 if length == "S" else 0]
    stack = "encoder" if length == "S" else "decoder"
    kept = keeps_mask(s, 4, learns=learns, padded=padded, stack=stack)
    shape = (sequences, "H", length, length)
    return Extra("distances", shape, 4, kept=kept, learns=learns, waits=learns and waits)


def _keeps_seen(s: Structure) -> bool:
    return keeps_mask(s, 1, stack="decoder", cross=True)


def _keeps_memory(s: Structure) -> bool:
    """Whether what was read outlives the forward pass: what learns from it keeps it."""
    if s.lora is None:
        return True
    if s.recompute != "none":
        return s.lora.passes("decoder")
    return s.lora.keeps("decoder", "cross_attention.k_proj", "cross_attention.v_proj")


def front(tape: Tape, s: Structure) -> tuple[Tensor, list[Tensor], tuple[Tensor, ...]]:
    """The encoder's embedding and the distances that its blocks share."""
    x = _embed(tape, Parameter(tape, "embedding", ("V", "D")), s, "S")
    mask = distances(tape, s, "encoder_distances", "S")
    return x, [mask] if _mask(s, "S").kept else [], (mask,)


def middle(
    tape: Tape, given: list[Tensor], s: Structure
) -> tuple[Tensor, list[Tensor], tuple[Tensor, ...]]:
    """The encoder's norm, the decoder's embedding, and what the decoder's blocks share."""
    normed = rms_norm(tape, given[0], "encoder_norm", "D", fused=s.fused_rms_norm)
    memory = _drop(tape, normed, s)
    del normed
    given.clear()
    if memory.storage is not None:
        tape.labels[memory.storage.bit.bit_length() - 1] = "what was read"
    table = Parameter(tape, "embedding", ("V", "D"), shared=True)
    # It waits in the autograd engine, or is added to the output's, which waits there.
    table.has_gradient = s.tied
    x = _embed(tape, table, s, "T")
    mask = distances(tape, s, "distances", "T")
    left = [memory] if _keeps_memory(s) else []
    if _mask(s, "T").kept:
        left.append(mask)
    seen = across(tape, s)
    if seen is not None and _keeps_seen(s):
        left.append(seen)
    return x, left, (memory, mask)


def block(
    tape: Tape,
    x: Tensor,
    s: Structure,
    mask: Tensor,
    length: Dim,
    memory: Tensor | None = None,
    seen: Tensor | None = None,
) -> Tensor:
    """Attention, over what was read besides, and a feed-forward network, each added."""
    normed = rms_norm(tape, x, "attention_norm", "D", fused=s.fused_rms_norm)
    y = _drop(tape, _attention(tape, normed, normed, s, "attention", mask, length, length), s)
    x = ops.add(tape, x, y, "residual stream")
    del y
    if memory is not None:
        read = rms_norm(tape, x, "cross_norm", "D", fused=s.fused_rms_norm)
        y = _attention(tape, read, memory, s, "cross_attention", seen, length, "S")
        del read
        x = ops.add(tape, x, _drop(tape, y, s), "residual stream")
    inner = _feed_forward(
        tape, rms_norm(tape, x, "feed_forward_norm", "D", fused=s.fused_rms_norm), s
    )
    return ops.add(tape, x, _drop(tape, inner, s), "residual stream")


def _attention(
    tape: Tape,
    x: Tensor,
    y: Tensor,
    s: Structure,
    name: str,
    mask: Tensor | None,
    length: Dim,
    read: Dim,
) -> Tensor:
    copies = by_heads(s, mask, causal=False) and s.several_heads

    def heads(of: Tensor, which: str, positions: Dim) -> Tensor:
        found = linear(tape, of, f"{name}.{which}_proj", "D", "H*K")
        return split_heads(tape, found, ("B", positions, "H", "K"), copies=copies)

    q = heads(x, "q", length)
    k = heads(y, "k", read)
    v = heads(y, "v", read)
    padded = s.options.padded[1 if read == "S" else 0]
    mixed = attend(tape, q, k, v, s, mask, causal=False, padded=padded)
    del q, k, v
    flat = copied(tape, mixed, "attention output in a row") if copies else mixed
    whole = ops.view(tape, flat, ("B", length, "H*K"))
    del flat
    return linear(tape, whole, f"{name}.o_proj", "H*K", "D")


def _feed_forward(tape: Tape, x: Tensor, s: Structure) -> Tensor:
    y = linear(tape, x, "up_proj", "D", "F")
    if s.act in GATED:
        gate = linear(tape, x, "gate_proj", "D", "F")
        active = activate(tape, gate, s.act)
        del gate
        y = ops.mul(tape, active, y, "gated product")
        del active
    else:
        y = activate(tape, y, s.act)
    y = _drop(tape, y, s)
    return linear(tape, y, "down_proj", "F", "D")


def tail(tape: Tape, given: list[Tensor], s: Structure) -> Tensor:
    """The decoder's norm and the loss; the model has returned when the loss begins."""
    normed = rms_norm(tape, given[0], "norm", "D", fused=s.fused_rms_norm)
    hidden = _drop(tape, normed, s)
    del normed
    if s.tied:
        hidden = scaled(tape, hidden, "scaled hidden states")
    given.clear()
    name = "embedding" if s.tied else "lm_head.weight"
    narrow = tape.narrow and not s.tied and tape.lora is None
    output = Parameter(tape, name, ("V", "D"), shared=s.tied, narrow=narrow)
    if s.tied:
        # It waits in the autograd engine until those of the embedding have come, too.
        output.has_gradient = False
    return cross_entropy(tape, hidden, output, s)


def _embed(tape: Tape, table: Parameter, s: Structure, length: Dim) -> Tensor:
    x = ops.embedding(tape, table, ("B", length, "D"))
    if s.options.embedding_dropout:
        x = dropout(tape, x, cpu=s.cpu)
    return ops.cast(tape, x, s.width, "residual stream")


def _drop(tape: Tape, x: Tensor, s: Structure) -> Tensor:
    return dropout(tape, x, cpu=s.cpu) if s.options.hidden_dropout else x
