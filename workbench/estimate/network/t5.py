"""`workbench.models.t5` on paper: an encoder, what lies between, and a decoder that looks back.

Shapes: B sequences, S positions of the encoder, T positions of the decoder, D width, H heads,
K head width, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.estimate.network.attend import attend, by_heads
from workbench.estimate.network.decoder import begin_model, output_of
from workbench.estimate.network.feed_forward import GATED, activate
from workbench.estimate.network.linear import linear
from workbench.estimate.network.loss import cross_entropy
from workbench.estimate.network.norm import rms_norm
from workbench.estimate.network.t5_shared import distances_of, keeps_memory, keeps_seen
from workbench.estimate.network.t5_sight import across, distances
from workbench.estimate.tape import ops
from workbench.estimate.tape.modules import enter, leave
from workbench.estimate.tape.ops_attention import copied, dropout, scaled, split_heads
from workbench.estimate.tape.tensor import Parameter

if TYPE_CHECKING:
    from workbench.estimate.network.structure import Structure
    from workbench.estimate.tape.tensor import Dim, Tape, Tensor


def front(tape: Tape, s: Structure) -> tuple[Tensor, list[Tensor], tuple[Tensor, ...]]:
    """The encoder's embedding and the distances that its blocks share."""
    begin_model(tape, s, "encoder_distances", "distances")
    x = _embed(tape, Parameter(tape, "embedding", ("V", "D")), s, "S")
    mask = distances(tape, s, "encoder_distances", "S")
    return x, [mask] if distances_of(s, "S").kept else [], (mask,)


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
    left = [memory] if keeps_memory(s) else []
    if distances_of(s, "T").kept:
        left.append(mask)
    seen = across(tape, s)
    if seen is not None and keeps_seen(s):
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
    if memory is None:
        x, mask = enter(tape, "block", x, mask)
    else:
        x, mask, memory = enter(tape, "block", x, mask, memory)
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
    return leave(tape, "block", ops.add(tape, x, _drop(tape, inner, s), "residual stream"))[0]


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
    if mask is None:
        x, y = enter(tape, name, x, y)
    else:
        x, y, mask = enter(tape, name, x, y, mask)

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
    return leave(tape, name, linear(tape, whole, f"{name}.o_proj", "H*K", "D"))[0]


def _feed_forward(tape: Tape, x: Tensor, s: Structure) -> Tensor:
    (x,) = enter(tape, "feed_forward", x)
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
    return leave(tape, "feed_forward", linear(tape, y, "down_proj", "F", "D"))[0]


def tail(tape: Tape, given: list[Tensor], s: Structure) -> Tensor:
    """The decoder's norm and the loss; the model has returned when the loss begins."""
    normed = rms_norm(tape, given[0], "norm", "D", fused=s.fused_rms_norm)
    hidden = _drop(tape, normed, s)
    del normed
    if s.tied:
        hidden = scaled(tape, hidden, "scaled hidden states")
    given.clear()
    (hidden,) = leave(tape, "model", hidden)
    name = output_of(s)
    narrow = tape.narrow and not s.tied and tape.lora is None
    output = Parameter(tape, name, ("V", "D"), shared=s.tied, narrow=narrow)
    if s.tied:
        # It waits in the autograd engine until those of the embedding have come, too.
        output.has_gradient = False
    return leave(tape, "objective", cross_entropy(tape, hidden, output, s))[0]


def _embed(tape: Tape, table: Parameter, s: Structure, length: Dim) -> Tensor:
    x = ops.embedding(tape, table, ("B", length, "D"))
    if s.options.embedding_dropout:
        x = dropout(tape, x, cpu=s.cpu)
    return ops.cast(tape, x, s.width, "residual stream")


def _drop(tape: Tape, x: Tensor, s: Structure) -> Tensor:
    return dropout(tape, x, cpu=s.cpu) if s.options.hidden_dropout else x
